// How text for people is to look.
import type { Paint } from './palette.ts';

export interface TextLook {
  readonly paint: Paint;
  /** Columns; infinite where it is not a terminal. */
  readonly width: number;
  readonly now: Date;
}
