import { expect, it } from 'vitest';
import { jobsOf } from '../../src/schedule/index.ts';

const jobs = (settings: Partial<Parameters<typeof jobsOf>[0]>) => {
  return jobsOf({ stores: [], ...settings }, 'Europe/Paris').map(({ schedule, stores }) => {
    return [schedule.expression, schedule.timeZone, stores];
  });
};

it('stores with the same schedule are one job, in the order of the file', () => {
  const stores = [
    { name: 'vectors' },
    { name: 'graph', schedule: '@hourly' },
    { name: 'rows', schedule: '00 03 * * *' },
    { name: 'events', schedule: '0 * * * *' },
  ];
  expect(jobs({ schedule: '0 3 * * *', stores })).toEqual([
    ['0 3 * * *', 'Europe/Paris', ['vectors', 'rows']],
    ['@hourly', 'Europe/Paris', ['graph', 'events']],
  ]);
});

it('stores on other clocks are other jobs', () => {
  const stores = [{ name: 'vectors' }, { name: 'graph', timeZone: 'UTC' }];
  expect(jobs({ schedule: '0 3 * * *', timeZone: 'Asia/Tokyo', stores })).toEqual([
    ['0 3 * * *', 'Asia/Tokyo', ['vectors']],
    ['0 3 * * *', 'UTC', ['graph']],
  ]);
});

it('a job of all stores names none, so that it has those that come later', () => {
  const all = [['0 3 * * *', 'Europe/Paris', undefined]];
  expect(jobs({ schedule: '0 3 * * *', stores: [{ name: 'vectors' }, { name: 'graph' }] })).toEqual(all);
  expect(jobs({ schedule: '0 3 * * *' })).toEqual(all);
});

it('a store that is never backed up by a schedule is in no job', () => {
  const stores = [{ name: 'vectors' }, { name: 'old', schedule: 'never' }];
  expect(jobs({ schedule: '0 3 * * *', stores })).toEqual([['0 3 * * *', 'Europe/Paris', ['vectors']]]);
  expect(jobs({ stores })).toEqual([]);
});
