// When: `schedule` and `time_zone`, at the top and of single stores.
import { z } from 'zod';
import { neverScheduled, readExpression } from '../schedule/index.ts';
import { expected, isTimeZone } from './retention.ts';

export const scheduleSchema = z.string().superRefine((text, { addIssue }) => {
  const fields = readExpression(text);
  if (typeof fields === 'string') addIssue({ code: 'custom', message: fields });
});

/** A store may be left out of the schedule that is at the top. */
export const storeScheduleSchema = z.string().superRefine((text, { addIssue }) => {
  const fields = text === neverScheduled ? undefined : readExpression(text);
  if (typeof fields === 'string') addIssue({ code: 'custom', message: `${fields} or "${neverScheduled}"` });
});

export const timeZoneSchema = z.string().refine(isTimeZone, `expected ${expected.timeZone}`);
