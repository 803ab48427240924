import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Candidate,
  type PoliciesOfStores,
  planRetention,
  type RetentionPolicy,
} from '../../src/retention/index.ts';

const dayMs = 24 * 3600 * 1000;
const now = new Date('2026-11-20T12:00:00Z');
const clock: { now: Date; ofStores?: PoliciesOfStores } = { now };

function daily(count: number, store = 'rows'): Candidate[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${store}-${String(index).padStart(4, '0')}`,
    store,
    createdAt: new Date(Date.parse('2026-11-20T02:00:00Z') - index * dayMs),
  }));
}

function keptIds(backups: Candidate[], policy: RetentionPolicy, at = clock): string[] {
  const ofStores = [...(at.ofStores ?? [])].map(
    ([store, own]) => [store, { timeZone: 'UTC', ...own }] as const,
  );
  return planRetention(backups, { timeZone: 'UTC', ...policy }, { now: at.now, ofStores: new Map(ofStores) })
    .filter(({ keep }) => keep)
    .map(({ id }) => id);
}

test('the policy of the replaced scripts keeps 7 days, 4 weeks and 3 months as a union', () => {
  const kept = planRetention(
    daily(120),
    { keepDaily: 7, keepWeekly: 4, keepMonthly: 3, timeZone: 'UTC' },
    clock,
  ).filter(({ keep }) => keep);
  expect(kept.map(({ id, reasons }) => `${id} ${reasons.join(' ')}`)).toEqual([
    'rows-0000 newest daily weekly monthly',
    'rows-0001 daily',
    'rows-0002 daily',
    'rows-0003 daily',
    'rows-0004 daily',
    'rows-0005 daily weekly',
    'rows-0006 daily',
    'rows-0012 weekly',
    'rows-0019 weekly',
    'rows-0020 monthly',
    'rows-0051 monthly',
  ]);
});

test('each store is planned by itself', () => {
  const kept = keptIds([...daily(5, 'rows'), ...daily(5, 'graph')], { keepLast: 2 });
  expect(kept).toEqual(['rows-0000', 'rows-0001', 'graph-0000', 'graph-0001']);
});

test('the newest backup is kept even where no rule keeps it', () => {
  const old = daily(400).slice(390);
  expect(keptIds(old, { keepWithinMs: 1 })).toEqual(['rows-0390']);
});

test('"within" counts from the newest backup, so that a clock set forward removes nothing', () => {
  const kept = keptIds(daily(10), { keepWithinMs: 3 * dayMs }, { ...clock, now: new Date('2040-01-01') });
  expect(kept).toHaveLength(3);
});

test('a backup of the future is kept, and takes no place of those of the past', () => {
  const future = { id: 'future', store: 'rows', createdAt: new Date('2040-01-01') };
  expect(keptIds([future, ...daily(10)], { keepWithinMs: 3 * dayMs })).toHaveLength(4);
  expect(keptIds([future, ...daily(10)], { keepLast: 1 })).toEqual(['future', 'rows-0000']);
  expect(keptIds([future, ...daily(10)], { keepLast: 1 }, { now: new Date('2040-01-02') })).toEqual([
    'future',
  ]);
});

test('pins and young safety backups are kept, and a safety backup never counts as one of the last', () => {
  const backups = daily(5);
  backups[4] = { ...backups[4]!, pinned: true };
  backups[0] = { ...backups[0]!, isSafety: true };
  backups.push({ id: 'old-safety', store: 'rows', createdAt: new Date('2026-11-01'), isSafety: true });
  expect(keptIds(backups, { keepLast: 1 })).toEqual(['rows-0000', 'rows-0001', 'rows-0004']);
});

test('days are counted in the time zone that was asked for', () => {
  const times = ['2026-11-20T04:30:00Z', '2026-11-20T05:30:00Z'];
  const backups = times.map((time, index) => ({ id: `${index}`, store: 'a', createdAt: new Date(time) }));
  expect(keptIds(backups, { keepDaily: 5 })).toEqual(['1']);
  expect(keptIds(backups, { keepDaily: 5, timeZone: 'America/New_York' })).toEqual(['1', '0']);
});

const history = fc.array(
  fc.record({
    // Before now, or sometimes after it.
    minutes: fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 0, max: 4 * 365 * 24 * 60 }) },
      { weight: 1, arbitrary: fc.integer({ min: -100 * 24 * 60, max: 0 }) },
    ),
    pinned: fc.boolean(),
    isDamaged: fc.boolean(),
    isVerified: fc.boolean(),
    isDrilled: fc.boolean(),
    isSafety: fc.boolean(),
    setId: fc.constantFrom('s1', 's2', 's3', 's4', 's5'),
    store: fc.constantFrom('a', 'b'),
  }),
  { minLength: 1, maxLength: 60 },
);
const policies = fc.record(
  {
    keepLast: fc.integer({ min: 1, max: 5 }),
    keepWithinMs: fc.integer({ min: 1, max: 90 * dayMs }),
    keepHourly: fc.integer({ min: 1, max: 30 }),
    keepDaily: fc.integer({ min: 1, max: 10 }),
    keepWeekly: fc.integer({ min: 1, max: 10 }),
    keepMonthly: fc.integer({ min: 1, max: 14 }),
    keepQuarterly: fc.integer({ min: 1, max: 6 }),
    keepYearly: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: [] },
);

const whole = (rules: typeof policies) =>
  fc.tuple(rules, fc.boolean()).map(([said, keepSetsWhole]) => ({ ...said, keepSetsWhole }));

function candidates(items: (Omit<Candidate, 'id' | 'createdAt'> & { minutes: number })[]): Candidate[] {
  return items.map(({ minutes, ...rest }, index) => ({
    id: `id-${String(index).padStart(3, '0')}`,
    createdAt: new Date(now.getTime() - minutes * 60_000),
    ...rest,
  }));
}

/** The same rules said in another way: for each backup, is there a reason to keep it? */
function bruteForce(
  backups: Candidate[],
  common: RetentionPolicy,
  ofStores: PoliciesOfStores = new Map(),
): Set<string> {
  const kept = new Set<string>();
  const policyOf = (store: string) => ofStores.get(store) ?? common;
  const latest = (some: Candidate[]) => some.find((one) => !some.some((other) => later(other, one)));
  const later = (a: Candidate, b: Candidate) =>
    a.createdAt > b.createdAt || (a.createdAt.getTime() === b.createdAt.getTime() && a.id > b.id);
  const isOfFuture = ({ createdAt }: Candidate) => createdAt.getTime() - now.getTime() > 5 * 60_000;
  for (const backup of backups) {
    const policy = policyOf(backup.store);
    const hasRule = Object.keys(policy).some((key) => key !== 'keepSetsWhole');
    if (backup.pinned || isOfFuture(backup)) kept.add(backup.id);
    if (isOfFuture(backup)) continue;
    if (backup.isSafety) {
      const ofStore = backups.filter(({ store }) => store === backup.store);
      const isAllThereIs = ofStore.every(({ isSafety }) => isSafety) && backup === latest(ofStore);
      const isYoung = now.getTime() - backup.createdAt.getTime() < 7 * dayMs;
      if (isYoung || isAllThereIs) kept.add(backup.id);
      continue;
    }
    const siblings = backups.filter(
      (other) => other.store === backup.store && !other.isSafety && !isOfFuture(other),
    );
    const good = siblings.filter(({ isDamaged }) => !isDamaged);
    const newerCount = siblings.filter((other) => later(other, backup)).length;
    const newest = Math.max(...siblings.map(({ createdAt }) => createdAt.getTime()));
    const bucketRule = (count: number | undefined, bucket: (at: Date) => string) => {
      if (!count) return false;
      const mine = bucket(backup.createdAt);
      const isNewestOfBucket = !siblings.some(
        (other) => later(other, backup) && bucket(other.createdAt) === mine,
      );
      const newerBuckets = new Set(
        siblings
          .filter((other) => later(other, backup))
          .map(({ createdAt }) => bucket(createdAt))
          .filter((other) => other !== mine),
      );
      return isNewestOfBucket && newerBuckets.size < count;
    };
    const iso = (at: Date) => at.toISOString();
    const monday = (at: Date) => {
      const day = new Date(iso(at).slice(0, 10));
      day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
      return iso(day);
    };
    if (
      !hasRule ||
      newerCount === 0 ||
      backup === latest(good) ||
      backup === latest(good.filter(({ isVerified }) => isVerified)) ||
      backup === latest(good.filter(({ isDrilled }) => isDrilled)) ||
      newerCount < (policy.keepLast ?? 0) ||
      (policy.keepWithinMs && newest - backup.createdAt.getTime() < policy.keepWithinMs) ||
      bucketRule(policy.keepHourly, (at) => iso(at).slice(0, 13)) ||
      bucketRule(policy.keepDaily, (at) => iso(at).slice(0, 10)) ||
      bucketRule(policy.keepWeekly, monday) ||
      bucketRule(policy.keepMonthly, (at) => iso(at).slice(0, 7)) ||
      bucketRule(
        policy.keepQuarterly,
        (at) => `${iso(at).slice(0, 4)}-${Math.floor(at.getUTCMonth() / 3)}`,
      ) ||
      bucketRule(policy.keepYearly, (at) => iso(at).slice(0, 4))
    ) {
      kept.add(backup.id);
    }
  }
  const keptSets = new Set(backups.filter(({ id }) => kept.has(id)).map(({ setId }) => setId));
  const isKeptByItsSet = ({ store, setId }: Candidate) =>
    policyOf(store).keepSetsWhole !== false && keptSets.has(setId);
  return new Set(
    backups.filter((backup) => kept.has(backup.id) || isKeptByItsSet(backup)).map(({ id }) => id),
  );
}

test('any history under any policy is planned as the brute-force model plans it', () => {
  fc.assert(
    fc.property(history, whole(policies), fc.option(whole(policies)), (items, policy, ofB) => {
      const backups = candidates(items);
      const ofStores: PoliciesOfStores = new Map(ofB ? [['b', ofB]] : []);
      const kept = keptIds(backups, policy, { now, ofStores });
      expect(new Set(kept)).toEqual(bruteForce(backups, policy, ofStores));
    }),
    { numRuns: 10_000 },
  );
});

test('a size cap takes the oldest that only rules keep, never what is untouchable', () => {
  const backups = daily(6).map((backup) => ({ ...backup, sizeBytes: 10 }));
  backups[5] = { ...backups[5]!, pinned: true };
  expect(keptIds(backups, { keepLast: 9, maxSizeBytes: 35 })).toEqual([
    'rows-0000',
    'rows-0001',
    'rows-0005',
  ]);
  expect(keptIds(backups, { keepLast: 9, maxSizeBytes: 1 })).toEqual(['rows-0000', 'rows-0005']);
});

test('a size cap frees what is enough and no more, the oldest first, whole sets, never what is untouchable', () => {
  fc.assert(
    fc.property(history, policies, fc.integer({ min: 1, max: 600 }), (items, rules, maxSizeBytes) => {
      const backups = candidates(items).map((backup) => ({ ...backup, sizeBytes: 10 }));
      const without = new Set(keptIds(backups, { ...rules, maxSizeBytes: 1e9 }));
      const kept = new Set(keptIds(backups, { ...rules, maxSizeBytes }));
      const untouchable = new Set(keptIds(backups, { keepWithinMs: 1 }));
      const newestOf = (setId: string | undefined) =>
        Math.max(...backups.filter((one) => one.setId === setId).map(({ createdAt }) => createdAt.getTime()));
      const setsOf = (ids: Iterable<string>) => {
        const some = new Set(ids);
        return [...new Set(backups.filter(({ id }) => some.has(id)).map(({ setId }) => setId))];
      };
      const dropped = setsOf(without.difference(kept));
      const droppable = setsOf(kept.difference(untouchable)).filter(
        (id) => !setsOf(untouchable).includes(id),
      );
      expect(kept.isSubsetOf(without)).toBe(true);
      expect(untouchable.isSubsetOf(kept)).toBe(true);
      for (const setId of dropped) expect(setsOf(kept)).not.toContain(setId);
      if (droppable.length > 0) expect(kept.size * 10).toBeLessThanOrEqual(maxSizeBytes);
      for (const setId of droppable)
        for (const older of dropped) expect(newestOf(setId)).toBeGreaterThanOrEqual(newestOf(older));
      const newestDropped = dropped.toSorted((a, b) => newestOf(b) - newestOf(a))[0];
      const backAgain = backups.filter(({ id, setId }) => without.has(id) && setId === newestDropped).length;
      if (dropped.length > 0) expect((kept.size + backAgain) * 10).toBeGreaterThan(maxSizeBytes);
    }),
    { numRuns: 1000 },
  );
});

test('a store with a policy of its own follows that one, and its size cap is its own', () => {
  const backups = [...daily(6, 'rows'), ...daily(6, 'graph')].map((backup) => ({ ...backup, sizeBytes: 10 }));
  const ofStores: PoliciesOfStores = new Map([['graph', { keepLast: 4, maxSizeBytes: 30 }]]);
  expect(keptIds(backups, { keepLast: 2 }, { now, ofStores })).toEqual([
    'rows-0000',
    'rows-0001',
    'graph-0000',
    'graph-0001',
    'graph-0002',
  ]);
});

test('a set that one store keeps stays whole, unless the policy of another says that its backups may leave it', () => {
  const backups = [...daily(4, 'rows'), ...daily(4, 'graph')].map((backup) => {
    return { ...backup, sizeBytes: 10, setId: backup.id.slice(-4) };
  });
  const graphs = (own: RetentionPolicy) =>
    keptIds(backups, { keepLast: 3 }, { now, ofStores: new Map([['graph', own]]) }).filter((id) =>
      id.startsWith('graph'),
    );
  expect(graphs({ keepLast: 1 })).toHaveLength(3);
  expect(graphs({ keepLast: 4, maxSizeBytes: 10 })).toHaveLength(3);
  expect(graphs({ keepLast: 1, keepSetsWhole: false })).toHaveLength(1);
});

test('a size cap alone keeps everything that it has room for', () => {
  const backups = daily(5).map((backup) => ({ ...backup, sizeBytes: 10 }));
  expect(keptIds(backups, { maxSizeBytes: 1e12 })).toHaveLength(5);
  expect(keptIds(backups, { maxSizeBytes: 30 })).toEqual(['rows-0000', 'rows-0001', 'rows-0002']);
});

test('weeks begin on the day that was asked for', () => {
  const times = [
    '2026-11-15T02:00:00Z',
    '2026-11-14T02:00:00Z',
    '2026-11-09T02:00:00Z',
    '2026-11-08T02:00:00Z',
  ];
  const backups = times.map((time) => ({ id: time.slice(5, 10), store: 'a', createdAt: new Date(time) }));
  expect(keptIds(backups, { keepWeekly: 9 })).toEqual(['11-15', '11-08']);
  expect(keptIds(backups, { keepWeekly: 9, weekStart: 7 })).toEqual(['11-15', '11-14']);
});

test('the hour that a clock set back has twice is two hours, and a leap day is a day', () => {
  const times = [
    '2026-10-25T01:30:00Z',
    '2026-10-25T00:30:00Z',
    '2024-02-29T12:00:00Z',
    '2024-02-28T12:00:00Z',
  ];
  const backups = times.map((time) => ({ id: time, store: 'a', createdAt: new Date(time) }));
  const zone = { timeZone: 'Europe/Berlin' };
  expect(keptIds(backups, { keepHourly: 9, ...zone })).toHaveLength(4);
  expect(keptIds(backups, { keepDaily: 9, ...zone })).toHaveLength(3);
});

test('a longer policy keeps a superset, and no store is ever emptied', () => {
  fc.assert(
    fc.property(history, policies, (items, policy) => {
      const backups = candidates(items);
      const longer = Object.fromEntries(Object.entries(policy).map(([key, value]) => [key, value * 2]));
      const kept = new Set(keptIds(backups, policy));
      const keptLonger = new Set(keptIds(backups, longer));
      for (const id of kept) expect(keptLonger.has(id)).toBe(true);
      const stores = new Set(backups.filter(({ id }) => kept.has(id)).map(({ store }) => store));
      expect(stores).toEqual(new Set(backups.map(({ store }) => store)));
    }),
    { numRuns: 500 },
  );
});
