// The commands of nights without anyone watching: names, flags and examples, as in commands.ts.
import type { Command } from 'commander';
import type { Start } from './commands.ts';
import { examples } from './help.ts';
import type { RunFlags } from './run.ts';
import type { NextFlags, ScheduleFlags } from './schedule.ts';

export function declareScheduleCommands(program: Command, start: Start): void {
  declareSchedule(program, start);
  declareRun(program, start);
  declareMetrics(program, start);
}

function declareSchedule(program: Command, start: Start): void {
  const schedule = program
    .command('schedule')
    .description('have the system back up at the times of the config file: print, install, remove, next')
    .addHelpText(
      'after',
      examples(
        ['pkbackup schedule install', 'as the system has it: systemd, cron, launchd or the Task Scheduler'],
        ['pkbackup schedule install cron --wait 1h', 'the flags of all commands come along'],
        ['pkbackup schedule next', 'when the next backups are'],
      ),
    );
  const system = 'for the machine (needs root, or an administrator)';
  const user = 'for this user';
  const what = 'cron, systemd, launchd or task-scheduler (default: what this system has)';
  schedule
    .command('print')
    .description('print what a scheduler would be told, and tell it nothing')
    .argument('[SCHEDULER]', what)
    .option('--system', system)
    .option('--user', user)
    .action((name: string | undefined, flags: ScheduleFlags) => {
      return start(async (session) => (await import('./schedule.ts')).runSchedulePrint(session, name, flags));
    });
  schedule
    .command('install')
    .description('tell a scheduler; again after a change of schedule or stores, or of the place of pkbackup')
    .argument('[SCHEDULER]', what)
    .option('--system', system)
    .option('--user', user)
    .action((name: string | undefined, flags: ScheduleFlags) => {
      return start(async (session) =>
        (await import('./schedule.ts')).runScheduleInstall(session, name, flags),
      );
    });
  schedule
    .command('remove')
    .description('have every scheduler of this system forget this config file')
    .action(() => start(async (session) => (await import('./schedule.ts')).runScheduleRemove(session)));
  schedule
    .command('next')
    .description('show when the next backups are')
    .option('--count <N>', 'so many', '5')
    .action((flags: NextFlags) => {
      return start(async (session) => (await import('./schedule.ts')).runScheduleNext(session, flags));
    });
}

function declareRun(program: Command, start: Start): void {
  program
    .command('run')
    .description('stay, and back up at the times of schedule in the config file, until it is ended')
    .option('--metrics [ADDRESS]', 'serve metrics for Prometheus at /metrics (default: 127.0.0.1:9469)')
    .addHelpText(
      'after',
      examples(
        ['pkbackup run', 'for a container beside the stack, or a terminal; SIGTERM and Ctrl+C end it'],
        ['pkbackup run --wait 1h', 'a store that another run holds is waited for'],
      ),
    )
    .action((flags: RunFlags) => {
      return start(async (session) => (await import('./run.ts')).runRun(session, flags), {
        endsBySignal: true,
      });
    });
}

function declareMetrics(program: Command, start: Start): void {
  program
    .command('metrics')
    .description('print what status knows as metrics for Prometheus')
    .addHelpText(
      'after',
      examples(
        ['pkbackup metrics', 'what metrics_file of the config file gets after each run'],
        ['pkbackup metrics --json', 'the same facts as one document'],
      ),
    )
    .action(() => start(async (session) => (await import('./metrics.ts')).runMetrics(session)));
}
