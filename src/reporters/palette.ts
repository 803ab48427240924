// Colours by meaning, so that every part of the program shows the same thing alike, and none where none are wanted.
import { styleText } from 'node:util';

const styles = {
  good: 'green',
  bad: ['bold', 'red'],
  warning: 'yellow',
  /** Something is held still: hard to miss. */
  held: ['bold', 'inverse', 'yellow'],
  strong: 'bold',
  dim: 'dim',
} as const;

export type Paint = (style: keyof typeof styles, text: string) => string;

export function paintFor(isColoured: boolean): Paint {
  if (!isColoured) return (_style, text) => text;
  return (style, text) => styleText([styles[style]].flat(), text, { validateStream: false });
}

/** The flag first, then NO_COLOR and FORCE_COLOR (https://no-color.org), then whether it is a terminal. */
export function wantsColour(
  flag: boolean | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  stream: { isTTY?: boolean | undefined },
): boolean {
  if (flag !== undefined) return flag;
  if (environment.NO_COLOR) return false;
  if (environment.FORCE_COLOR) return environment.FORCE_COLOR !== '0' && environment.FORCE_COLOR !== 'false';
  return stream.isTTY === true && environment.TERM !== 'dumb';
}
