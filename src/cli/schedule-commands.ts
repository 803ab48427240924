// The commands of nights without anyone watching: names, flags and examples, as in commands.ts.
import type { Command } from 'commander';
import type { Start } from './commands.ts';
import { examples } from './help.ts';

export function declareScheduleCommands(program: Command, start: Start): void {
  declareRun(program, start);
}

function declareRun(program: Command, start: Start): void {
  program
    .command('run')
    .description('stay, and back up at the times of schedule in the config file, until it is ended')
    .addHelpText(
      'after',
      examples(
        ['pkbackup run', 'for a container beside the stack, or a terminal; SIGTERM and Ctrl+C end it'],
        ['pkbackup run --wait 1h', 'a store that another run holds is waited for'],
      ),
    )
    .action(() => {
      return start(async (session) => (await import('./run.ts')).runRun(session), { endsBySignal: true });
    });
}
