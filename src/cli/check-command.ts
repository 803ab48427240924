// `drill --check COMMAND...` and `guard -- COMMAND...`: everything behind the flag is a command of the user's own, with flags
// of its own, which are none of ours. So it is folded into one argument before the command line is read, and unfolded where
// it is used.
import { PkbackupError } from '../errors.ts';

const flag = '--check';
/** No argument that comes from outside can begin so. */
const mark = '\0';

/** As the command line is read: behind it comes the folded command. */
const guardedFlag = '--run';

export function foldCommands(argv: readonly string[]): string[] {
  const first = argv.find((word) => word === 'drill' || word === 'guard' || word === '--');
  if (first === 'guard') return fold(argv, '--', guardedFlag);
  return first === 'drill' ? fold(argv, flag, flag) : [...argv];
}

function fold(argv: readonly string[], border: string, as: string): string[] {
  const at = argv.indexOf(border);
  const command = argv.slice(at + 1);
  if (at < 0 || command.length === 0) return [...argv];
  return [...argv.slice(0, at), as, folded(command)];
}

const folded = (command: readonly string[]): string => `${mark}${JSON.stringify(command)}`;

/** Of the values that were read. */
export function unfoldCheckCommand(values: readonly string[]): string[] {
  const words = unfold(values);
  if (words[0]) return words;
  throw new PkbackupError('usage', `${flag}: expected a command and its arguments, got nothing`);
}

export function unfoldGuardedCommand(values: readonly string[] = []): string[] {
  const words = unfold(values);
  if (words[0]) return words;
  throw new PkbackupError('usage', 'expected the command to guard behind "--", got nothing', {
    hint: 'pkbackup guard vectors -- docker compose up -d vectors',
  });
}

function unfold(values: readonly string[]): string[] {
  return values.flatMap((value) =>
    value.startsWith(mark) ? (JSON.parse(value.slice(1)) as string[]) : [value],
  );
}
