// The command line: which command runs with which options, and what its end means for the exit code.
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { errorCatalogue, exitCodeOf, PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { errorJson, errorLines } from '../reporters/error-text.ts';
import type { LogFile } from '../reporters/log-file.ts';
import { paintFor, wantsColour } from '../reporters/palette.ts';
import { version } from '../version.ts';
import { foldCommands } from './check-command.ts';
import { declareCommands, type Start } from './commands.ts';
import type { GlobalFlags } from './flags.ts';
import { rootHelp } from './help.ts';
import { openSession, type Session } from './session.ts';
import { listenForSignals } from './signals.ts';

/** Parses, runs, reports; the exit code is the result, and nothing is thrown. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram(async (work, options) => {
    exitCode = await runCommand(program.opts<GlobalFlags>(), work, options);
  });
  try {
    const folded = foldCommands(argv);
    await program.parseAsync(withDefaultCommand(program, folded), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const shown = error instanceof CommanderError ? usageError(error, program, argv) : error;
    report(shown, program.opts<GlobalFlags>());
    return exitCodeOf(shown);
  }
}

function createProgram(start: Start): Command {
  const program = new Command('pkbackup')
    .description(
      'Backs up, verifies, prunes, lists and restores the data of self-hosted knowledge and AI stacks.',
    )
    .version(version, '-V, --version', 'print the version')
    .option('--config <FILE>', 'config file (default: pkbackup.yaml here)')
    .option('--backup-dir <DIR>', 'repository (default: BACKUP_DIR, the config file, then ./backups)')
    .option('--json', 'print the answer as one JSON document')
    .option('--events', 'print events as JSON lines while it runs, and the answer as the last one')
    .option('-q, --quiet', 'print nothing but warnings and errors')
    .option('-v, --verbose', 'print every step, and the stack of errors')
    .option(
      '--wait <DURATION>',
      'wait this long (such as 10m) where another run holds a store, instead of exit 8',
    )
    .option('--log-file <FILE>', 'append everything that happens to FILE, as JSON lines')
    .option('--color', 'use colour even where it is not a terminal')
    .option('--no-color', 'use no colour (so does NO_COLOR)')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [COMMAND]', 'show the help of a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .exitOverride()
    .addHelpText('after', rootHelp);
  // Undefined until one of the two is given: then the terminal and the environment decide.
  program.setOptionValue('color', undefined);
  declareCommands(program, start);
  return program;
}

/** `pkbackup` alone shows what is backed up, instead of a wall of flags. */
function withDefaultCommand(program: Command, argv: readonly string[]): string[] {
  const { operands, unknown } = createProgramFor(program).parseOptions([...argv]);
  return operands.length === 0 && unknown.length === 0 ? ['overview', ...argv] : [...argv];
}

/** A second one to look at the arguments with: parsing sets values. */
function createProgramFor(program: Command): Command {
  const copy = new Command().exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
  for (const option of program.options) copy.addOption(option);
  return copy;
}

async function runCommand(
  flags: GlobalFlags,
  work: (session: Session) => Promise<number>,
  { endsBySignal = false }: Parameters<Start>[1] = {},
): Promise<number> {
  let session: Session | undefined;
  let log: LogFile | undefined;
  const tell = (line: string) => {
    if (session === undefined) process.stderr.write(`${line}\n`);
    else session.tell(line);
  };
  const tellError = (error: unknown) => {
    session?.hideDisplay();
    log?.error(error);
    report(error, flags);
  };
  using interruption = listenForSignals(tell, tellError);
  try {
    if (flags.logFile !== undefined) log = await openLog(flags.logFile, tell);
    session = openSession(flags, interruption.signal, log === undefined ? [] : [log.emit]);
    const exitCode = await work(session);
    if (endsBySignal) return exitCode;
    return interruptedCode(interruption.signal) ?? exitCode;
  } catch (error) {
    tellError(error);
    return interruptedCode(interruption.signal) ?? exitCodeOf(error);
  } finally {
    session?.hideDisplay();
    log?.close();
  }
}

async function openLog(path: string, tell: (line: string) => void): Promise<LogFile> {
  const { openLogFile } = await import('../reporters/log-file.ts');
  return openLogFile(path, (message) => tell(`warning: ${message}`));
}

/** Once a signal has come the exit code says so, whatever came of the work; the answer or the error says that. */
function interruptedCode(signal: AbortSignal): number | undefined {
  if (!signal.aborted) return undefined;
  return signal.reason instanceof PkbackupError
    ? exitCodeOf(signal.reason)
    : errorCatalogue.interrupted.exitCode;
}

function report(error: unknown, flags: GlobalFlags): void {
  const { stdout, stderr, env } = process;
  if (flags.events) stdout.write(`${JSON.stringify({ type: 'error', error: errorJson(error) })}\n`);
  else if (flags.json) stdout.write(`${JSON.stringify({ error: errorJson(error) }, null, 2)}\n`);
  const paint = paintFor(wantsColour(flags.color, env, stderr));
  stderr.write(`${errorLines(error, paint, flags.verbose === true).join('\n')}\n`);
}

/** Commander's message in our words: `unknown option "--jso", did you mean "--json"?` */
function usageError(
  { message, code }: CommanderError,
  program: Command,
  argv: readonly string[],
): PkbackupError {
  const words = argv.filter((word) => !word.startsWith('-'));
  const names = program.commands.map((command) => command.name()).filter((name) => name !== 'overview');
  const command = names.find((name) => name === words[0]);
  const hint = `pkbackup ${command === undefined ? '--help' : `${command} --help`} shows what there is`;
  // `pkbackup help x`, where there is no x.
  if (code === 'commander.help') {
    const [, wanted = ''] = words;
    return new PkbackupError('usage', `unknown command "${wanted}"${didYouMean(wanted, names)}`, { hint });
  }
  const [, text = message, near] = /^(?:error: )?(.*?)(?:\n\(Did you mean (.*)\?\))?$/s.exec(message) ?? [];
  const suggestion =
    near === undefined ? '' : `, did you mean ${near.startsWith('one of') ? near : `"${near}"`}?`;
  return new PkbackupError('usage', `${text.replaceAll("'", '"').replace(/\.$/, '')}${suggestion}`, { hint });
}
