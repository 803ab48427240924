import type { Scenario } from '../bench.ts';
import { backup } from './backup.ts';
import { incompressibleData } from './incompressible.ts';
import { list } from './list.ts';
import { memory } from './memory.ts';
import { postgres } from './postgres.ts';
import { restore } from './restore.ts';
import { restoreDowntime } from './restore-downtime.ts';
import { small } from './small-files.ts';
import { sqlite } from './sqlite.ts';
import { startup } from './startup.ts';
import { stores } from './stores.ts';
import { verify } from './verify.ts';

export const scenarios: Readonly<Record<string, Scenario>> = {
  startup,
  list,
  backup,
  'small-files': small,
  incompressible: incompressibleData,
  restore,
  'restore-downtime': restoreDowntime,
  verify,
  postgres,
  sqlite,
  stores,
  memory,
};
