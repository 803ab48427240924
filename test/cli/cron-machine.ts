// A machine with Debian's cron: a container in which that runs, with the published program and the Node of this test. The cron
// of the machine that runs the tests is left alone.
import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { unpackDebianPackages } from '../debian-packages.ts';
import { docker, makeContainer } from '../docker/bed.ts';
import { shim } from './program.ts';

export interface CronMachine {
  /** On this machine; `/data` there. */
  readonly data: string;
  /** To be removed. */
  readonly directory: string;
  sh(script: string): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** `pkbackup` in a directory below /data. */
  pkbackup(
    directory: string,
    ...args: string[]
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
}

const layOut = `
cp -a /cron/usr/. /usr/ && cp /cron/etc/pam.d/cron /etc/pam.d/ && mkdir -p /var/spool/cron/crontabs
exec cron -f`;

export async function startCronMachine(): Promise<CronMachine> {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-cron-'));
  cpSync(dirname(dirname(shim)), join(directory, 'program'), { recursive: true });
  cpSync(process.execPath, join(directory, 'node'));
  const data = join(directory, 'data');
  mkdirSync(data);
  const id = await makeContainer({
    image: 'pkbackup-test/debian:trixie',
    entrypoint: ['bash', '-c'],
    command: [layOut],
    volumes: {
      [directory]: '/opt/pkbackup:ro',
      [data]: '/data',
      [await unpackDebianPackages('cron')]: '/cron:ro',
    },
  });
  const sh = async (script: string, ...args: string[]) => {
    const { exitCode, stdout, stderr } = await (await docker()).exec(id, {
      command: ['bash', '-c', script, 'bash', ...args],
    });
    return { exitCode, stdout: stdout.toString(), stderr };
  };
  return {
    data,
    directory,
    sh,
    pkbackup: (where, ...args) => {
      const program = '/opt/pkbackup/node /opt/pkbackup/program/bin/pkbackup.js';
      return sh(`cd "/data/$1" && shift && exec ${program} "$@"`, where, ...args);
    },
  };
}
