// Programs in the config file: `[file, argument, ...]`, or `{ run: [...], deadline: 30s }` where the usual time is wrong.
import { z } from 'zod';
import { durationMs, durationPattern } from './duration.ts';
import { absolutePath } from './paths.ts';
import type { CommandLine, Hooks } from './types.ts';

const argv = z.array(z.string()).min(1);

export const commandSchema = z.union([
  argv,
  z.strictObject({
    run: argv,
    deadline: z.string().regex(durationPattern, 'expected a duration such as 30s or 10m').optional(),
  }),
]);

export const hooksSchema = z.strictObject({
  before: commandSchema.optional(),
  after: commandSchema.optional(),
  on_error: commandSchema.optional(),
});

/** Time for a hook to mount a disk or to copy an archive away. */
const hookDeadlineMs = 10 * 60_000;

/** A program with a path belongs to the directory of the config file; a bare name is looked for on the PATH. */
export function commandLine(
  said: z.infer<typeof commandSchema>,
  directory: string,
  usualDeadlineMs: number,
): CommandLine {
  const command = 'run' in said ? said : { run: said, deadline: undefined };
  const [file = '', ...args] = command.run;
  return {
    argv: [/[/\\]/.test(file) ? absolutePath(file, directory) : file, ...args],
    cwd: directory,
    deadlineMs: command.deadline === undefined ? usualDeadlineMs : durationMs(command.deadline),
  };
}

export function hooksOf(said: z.infer<typeof hooksSchema>, directory: string): Hooks {
  const { before, after, on_error } = said;
  const lineOf = (command: z.infer<typeof commandSchema>) => commandLine(command, directory, hookDeadlineMs);
  return {
    ...(before !== undefined && { before: lineOf(before) }),
    ...(after !== undefined && { after: lineOf(after) }),
    ...(on_error !== undefined && { onError: lineOf(on_error) }),
  };
}
