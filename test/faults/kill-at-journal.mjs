// Loaded with --import: kills this process, as SIGKILL does, right after its n-th note in the journal of a restore
// (PKBACKUP_TEST_KILL_AT_NOTE, counted from 1; of a guard, where PKBACKUP_TEST_KILL_JOURNAL says so), or so many
// milliseconds later (PKBACKUP_TEST_KILL_AFTER_MS).
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

const killAt = Number(process.env.PKBACKUP_TEST_KILL_AT_NOTE);
const afterMs = Number(process.env.PKBACKUP_TEST_KILL_AFTER_MS ?? 0);
const kill = () => process.kill(process.pid, 'SIGKILL');
const suffix = `.${process.env.PKBACKUP_TEST_KILL_JOURNAL ?? 'restore'}.json`;
const { rename } = promises;
let count = 0;

promises.rename = async (from, to) => {
  await rename(from, to);
  if (!String(to).endsWith(suffix)) return;
  count += 1;
  if (count !== killAt) return;
  if (afterMs > 0) setTimeout(kill, afterMs);
  else kill();
};
syncBuiltinESMExports();
