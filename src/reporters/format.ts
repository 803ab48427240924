// Numbers and times as people write them. Pure functions.
import { stripVTControlCharacters } from 'node:util';

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units, as disks and networks have them: `45 MB`, `1.1 GB`, `0 B`. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (unit < byteUnits.length - 1 && value >= (unit === 0 ? 1000 : 999.5)) {
    value /= 1000;
    unit++;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${byteUnits[unit]}`;
}

/** `0.6 s`, `59 s`, `3 min 5 s`, `1 h 12 min`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 59_950) return `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min${seconds % 60 > 0 ? ` ${seconds % 60} s` : ''}`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 > 0 ? ` ${minutes % 60} min` : ''}`;
}

/** `7 days`, `1 day`; what is no whole number of days as a duration. */
export function formatDays(milliseconds: number): string {
  const days = milliseconds / day;
  return Number.isInteger(days) ? plural(days, 'day') : formatDuration(milliseconds);
}

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** How long ago: `6 h ago`, `19 d ago`, `11 mo ago`; `in 3 h` where the clock says so. */
export function formatAge(then: Date, now: Date): string {
  const age = now.getTime() - then.getTime();
  if (Math.abs(age) < minute) return 'just now';
  const text = roughly(Math.abs(age));
  return age < 0 ? `in ${text}` : `${text} ago`;
}

/** How long, about: `47 h`, `3 d`. Hours say more where a day or two is the question. */
export function formatSpan(milliseconds: number): string {
  const span = Math.max(0, milliseconds);
  return span >= day && span < 2 * day ? `${Math.floor(span / hour)} h` : roughly(span);
}

function roughly(milliseconds: number): string {
  if (milliseconds < hour) return `${Math.floor(milliseconds / minute)} min`;
  if (milliseconds < day) return `${Math.floor(milliseconds / hour)} h`;
  if (milliseconds < 60 * day) return `${Math.floor(milliseconds / day)} d`;
  if (milliseconds < 730 * day) return `${Math.floor(milliseconds / (30.44 * day))} mo`;
  return `${Math.floor(milliseconds / (365.25 * day))} y`;
}

/** `2026-11-20 03:00` in local time. */
export function formatLocalTime(date: Date): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-');
  return `${day} ${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
}

/** `2026-11-20 03:00:07` in local time, for lines of a log. */
export function formatLogTime(date: Date): string {
  return `${formatLocalTime(date)}:${twoDigits(date.getSeconds())}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** `1 backup`, `2 backups`, `1 entry`, `3 entries`. */
export function plural(count: number, one: string, many = pluralOf(one)): string {
  return `${count} ${count === 1 ? one : many}`;
}

function pluralOf(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return /(s|x|ch|sh)$/.test(word) ? `${word}es` : `${word}s`;
}

/** Counts as a store gives them: `2 collections, 1 edge`. Names that stores give are plural. */
export function formatCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${count} ${count === 1 ? singularOf(name) : name}`.replaceAll('_', ' '))
    .join(', ');
}

function singularOf(word: string): string {
  if (word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (/(ch|sh|x|ss|ind?ex)es$/.test(word)) return word.slice(0, -2);
  return word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

/** Columns aligned by their visible width; a column is left-aligned unless its index is in `right`. No trailing spaces. */
export function alignColumns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const cellWidths = rows.map((row) => row.map(visibleWidth));
  const widths: number[] = [];
  for (const row of cellWidths) {
    for (const [column, width] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width);
  }
  return rows.map((row, index) =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - (cellWidths[index]?.[column] ?? 0));
        return right.includes(column) ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Columns on a terminal: wide characters take two, combining ones none. */
export function visibleWidth(text: string): number {
  if (isPlain.test(text)) return text.length;
  let width = 0;
  for (const character of stripVTControlCharacters(text)) {
    if (/\p{Mn}|\p{Cf}/u.test(character)) continue;
    width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  }
  return width;
}

/** Printable ASCII: nearly all there is to print, and quickly told. */
const isPlain = /^[ -~]*$/;

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Plain text cut to `width` columns, with an ellipsis where something is missing and there is room for one. */
export function truncate(text: string, width: number): string {
  if (visibleWidth(text) <= width) return text;
  const ellipsis = width < 4 ? '' : '...';
  let kept = '';
  for (const character of text) {
    if (visibleWidth(kept + character) > width - ellipsis.length) break;
    kept += character;
  }
  return kept + ellipsis;
}

/**
 * Text from elsewhere (names of files and containers, messages of servers) in one line, with nothing in it that a
 * terminal would obey.
 */
export function oneLine(text: string): string {
  if (isPlain.test(text)) return text.trim();
  return stripVTControlCharacters(text)
    .replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]+/g, ' ')
    .trim();
}
