// The display on a terminal: one line for each store, redrawn in place a few times a second; whatever must stay
// (warnings, and with --verbose every step) scrolls above it.
import type { Event } from '../events.ts';
import { eventLine, warningLines } from './event-lines.ts';
import type { Paint } from './palette.ts';
import { follow, type Progress } from './progress.ts';
import { progressLines } from './progress-lines.ts';
import type { Reporter, ReporterOptions, Sink } from './reporter.ts';

const redrawMs = 100;

export class LiveDisplay implements Reporter {
  readonly #stderr: Sink;
  readonly #paint: Paint;
  readonly #isVerbose: boolean;
  readonly #progress: Progress = new Map();
  #drawnLines = 0;
  #drawn = '';
  #timer: NodeJS.Timeout | undefined;

  constructor({ stderr, paint, isVerbose }: ReporterOptions) {
    this.#stderr = stderr;
    this.#paint = paint;
    this.#isVerbose = isVerbose;
  }

  readonly emit = (event: Event): void => {
    follow(this.#progress, event, performance.now());
    const lines = this.#linesThatStay(event);
    if (lines.length > 0) this.#printAbove(lines);
    if (this.#timer === undefined && this.#progress.size > 0) this.#start();
    // A held store is shown at once: the moment matters more than the cadence.
    if (event.type === 'held' || event.type === 'released') this.#draw();
  };

  hide(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  #start(): void {
    this.#timer = setInterval(() => this.#draw(), redrawMs);
    this.#timer.unref();
  }

  #linesThatStay(event: Event): string[] {
    if (event.type === 'warning') return warningLines(event).map((line) => this.#paint('warning', line));
    const line = this.#isVerbose ? eventLine(event) : undefined;
    return line === undefined ? [] : [this.#paint('dim', line)];
  }

  #printAbove(lines: readonly string[]): void {
    this.#clear();
    this.#stderr.write(`${lines.join('\n')}\n`);
    this.#draw();
  }

  #draw(): void {
    // One column stays free: some terminals wrap a line that fills the width. A terminal without a size says 0.
    const look = { paint: this.#paint, width: (this.#stderr.columns || 80) - 1 };
    const lines = progressLines(this.#progress, performance.now(), look);
    const text = lines.join('\n');
    if (lines.length === 0 || (text === this.#drawn && this.#drawnLines > 0)) return;
    const rewind = this.#rewind();
    this.#drawnLines = lines.length;
    this.#drawn = text;
    this.#stderr.write(`${rewind}${text}\n`);
  }

  #clear(): void {
    if (this.#drawnLines > 0) this.#stderr.write(this.#rewind());
    this.#drawnLines = 0;
  }

  /** Back to the first line of the display, with everything below it cleared. */
  #rewind(): string {
    return this.#drawnLines === 0 ? '' : `\u001b[${this.#drawnLines}A\u001b[0J`;
  }
}
