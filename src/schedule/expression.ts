// A cron expression as the moments that it names: minutes, hours, months, and the rules that a day may satisfy. Every
// scheduler that is written for gets these numbers and none of the shorthands, which each of them reads in its own way.
import { CronExpressionParser, type CronFieldCollection } from 'cron-parser';
import { messageOf, PkbackupError } from '../errors.ts';

export interface Fields {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1 to 12. */
  readonly months: readonly number[];
  /** One of them is enough: that is what cron does where both the day of the month and that of the week are said. */
  readonly days: readonly DayRule[];
}

/** Weekdays are 0 (Sunday) to 6. */
export type DayRule =
  | { readonly on: 'every-day' }
  | { readonly on: 'dates'; readonly dates: readonly number[] }
  | { readonly on: 'last-date' }
  | { readonly on: 'weekdays'; readonly weekdays: readonly number[] }
  | { readonly on: 'nth-weekday'; readonly weekday: number; readonly nth: number }
  | { readonly on: 'last-weekday'; readonly weekday: number };

const example = 'a cron expression such as "0 3 * * *"';

/** Throws `config` where it is none, or names no moment at all. */
export function parseExpression(text: string): Fields {
  const fields = readExpression(text);
  if (typeof fields !== 'string') return fields;
  throw new PkbackupError('config', `schedule: ${fields}, got "${text}"`);
}

/** The fields, or what is wrong with the text. */
export function readExpression(text: string): Fields | string {
  const trimmed = text.trim();
  if (/^@(?!yearly$|annually$|monthly$|weekly$|daily$|midnight$|hourly$)/.test(trimmed))
    return 'expected one of @hourly, @daily, @weekly, @monthly, @yearly';
  if (!trimmed.startsWith('@') && trimmed.split(/\s+/).length !== 5)
    return `expected ${example} with five fields (minute, hour, day of the month, month, day of the week)`;
  // "H" is a moment that the parser chooses.
  if (/(^|[\s,])h/i.test(trimmed.replace('@hourly', ''))) return `expected ${example} without "H"`;
  try {
    const parser = CronExpressionParser.parse(aliases[trimmed] ?? trimmed);
    return fieldsOf(parser.fields);
  } catch (error) {
    return `expected ${example} (${plain(messageOf(error))})`;
  }
}

const aliases: Readonly<Record<string, string>> = { '@annually': '@yearly', '@midnight': '@daily' };

function fieldsOf({ minute, hour, month, dayOfMonth, dayOfWeek }: CronFieldCollection): Fields {
  return {
    minutes: numbers(minute.values),
    hours: numbers(hour.values),
    months: numbers(month.values),
    days: daysOf(dayOfMonth, dayOfWeek),
  };
}

function daysOf(
  dates: CronFieldCollection['dayOfMonth'],
  weekdays: CronFieldCollection['dayOfWeek'],
): DayRule[] {
  const ofMonth = dates.isWildcard ? [] : rulesOfMonth(dates.values);
  const ofWeek = weekdays.isWildcard ? [] : rulesOfWeek(weekdays.values, weekdays.nthDay);
  const rules = [...ofMonth, ...ofWeek];
  return rules.length === 0 ? [{ on: 'every-day' }] : rules;
}

function rulesOfMonth(values: readonly (number | string)[]): DayRule[] {
  const dates = numbers(values);
  return [
    ...(dates.length > 0 ? [{ on: 'dates', dates } as const] : []),
    ...(values.some((value) => typeof value === 'string') ? [{ on: 'last-date' } as const] : []),
  ];
}

function rulesOfWeek(values: readonly (number | string)[], nth: number): DayRule[] {
  const weekdays = [...new Set(numbers(values).map((day) => day % 7))].sort((a, b) => a - b);
  if (nth > 0) return weekdays.map((weekday) => ({ on: 'nth-weekday', weekday, nth }));
  // `5L` is the last Friday of the month.
  const last = values.flatMap((value) => (typeof value === 'string' ? Number.parseInt(value, 10) % 7 : []));
  return [
    ...(weekdays.length > 0 ? [{ on: 'weekdays', weekdays } as const] : []),
    ...last.map((weekday) => ({ on: 'last-weekday', weekday }) as const),
  ];
}

/** The numbers among the values of a field, which may have letters too. */
function numbers(values: readonly (number | string)[]): number[] {
  return values.filter((value) => typeof value === 'number').sort((a, b) => a - b);
}

/** `Constraint error, got value 60 expected range 0-59` in our way of writing. */
function plain(message: string): string {
  return (message.charAt(0).toLowerCase() + message.slice(1)).replaceAll('`', '"');
}
