import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/events.ts';
import { paintFor } from '../../src/reporters/palette.ts';
import { createReporter, type ReporterMode } from '../../src/reporters/reporter.ts';

const events: Event[] = [
  { type: 'started', store: 'vectors', kind: 'chromadb', operation: 'backup' },
  { type: 'held', store: 'vectors', quiesce: 'stop', containers: ['pk-chromadb'] },
  { type: 'progress', store: 'vectors', phase: 'reading', doneBytes: 1, totalBytes: 2 },
  { type: 'progress', store: 'vectors', phase: 'reading', doneBytes: 2, totalBytes: 2 },
  { type: 'released', store: 'vectors', containers: ['pk-chromadb'], downtimeMs: 2100 },
  { type: 'warning', store: 'vectors', message: 'shrunk by 90 %', hint: 'look at it' },
  { type: 'ended', store: 'vectors', ok: true },
];

function written(mode: ReporterMode, isVerbose = false): { stdout: string; stderr: string } {
  const out: string[] = [];
  const err: string[] = [];
  const reporter = createReporter({
    mode,
    isVerbose,
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text), columns: 80 },
    paint: paintFor(false),
  });
  for (const event of events) reporter.emit(event);
  reporter.hide();
  return { stdout: out.join(''), stderr: err.join('') };
}

describe('in a pipe', () => {
  it('each event that matters is one line with a time, on stderr', () => {
    const { stdout, stderr } = written('lines');
    expect(stdout).toBe('');
    const lines = stderr.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}vectors: /);
    expect(lines.map((line) => line.slice(30))).toEqual([
      'backup of chromadb begins',
      'stopped pk-chromadb',
      'runs again: pk-chromadb (down 2.1 s)',
      'warning: shrunk by 90 % (look at it)',
      'done',
    ]);
  });
});

describe('with --quiet', () => {
  it('only warnings are said', () => {
    expect(written('quiet')).toEqual({
      stdout: '',
      stderr: 'warning: vectors: shrunk by 90 %\nhint: look at it\n',
    });
  });
});

describe('with --events', () => {
  it('each is a JSON object on stdout, in snake_case with a time in UTC, and progress is thinned out', () => {
    const { stdout, stderr } = written('events');
    expect(stderr).toBe('');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ type }) => type)).toEqual([
      'started',
      'held',
      'progress',
      'released',
      'warning',
      'ended',
    ]);
    expect(lines[2]).toMatchObject({ store: 'vectors', done_bytes: 1, total_bytes: 2 });
    expect(lines[3].downtime_ms).toBe(2100);
    expect(new Date(lines[0].time).toISOString()).toBe(lines[0].time);
  });
});

describe('on a terminal', () => {
  it('leaves nothing behind but what must stay', () => {
    const screen = written('live').stderr;
    expect(screen).toContain('HELD');
    expect(afterRedraws(screen)).toEqual(['warning: vectors: shrunk by 90 %', 'hint: look at it']);
  });

  it('leaves every step with --verbose', () => {
    expect(afterRedraws(written('live', true).stderr)).toContain('vectors: stopped pk-chromadb');
  });
});

/** What a terminal shows in the end: `CSI n A` goes up n lines, `CSI 0 J` clears what is below. */
function afterRedraws(screen: string): string[] {
  const lines: string[] = [];
  for (const part of screen.split(/(?=\u001b\[\d+A)/)) {
    const up = /^\u001b\[(\d+)A\u001b\[0J/.exec(part);
    if (up) lines.splice(lines.length - Number(up[1]));
    const text = part.slice(up?.[0].length ?? 0);
    if (text !== '') lines.push(...text.replace(/\n$/, '').split('\n'));
  }
  return lines;
}

describe('every reporter', () => {
  it('lets others listen', () => {
    const heard: string[] = [];
    const silent = { write: () => true };
    const reporter = createReporter({
      mode: 'quiet',
      isVerbose: false,
      stdout: silent,
      stderr: silent,
      paint: paintFor(false),
      also: [(event) => heard.push(event.type)],
    });
    for (const event of events) reporter.emit(event);
    expect(heard).toHaveLength(events.length);
  });
});
