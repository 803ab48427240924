// What operations tell while they run. Reporters alone decide how, where and how often it is shown.
// Results are returned, not emitted: an event is never the only place where something that matters is said.
import type { Kind, Quiesce } from './words.ts';

export type Phase = 'reading' | 'verifying' | 'staging' | 'checking';

export type Event =
  /** Work on one store (or one backup of it) begins. */
  | {
      type: 'started';
      store: string;
      kind: Kind;
      operation: 'backup' | 'verify' | 'restore' | 'drill';
      backup?: string;
    }
  /** Bytes so far of a phase; `totalBytes` is an estimate and may be missing. Sent often: reporters thin it out. */
  | { type: 'progress'; store: string; phase: Phase; doneBytes: number; totalBytes?: number }
  /** One thing that was done, as a sentence without a full stop. */
  | { type: 'step'; store?: string; message: string }
  /** Containers are held still from now on. */
  | { type: 'held'; store: string; quiesce: Exclude<Quiesce, 'none'>; containers: string[] }
  /** They run again. */
  | { type: 'released'; store: string; containers: string[]; downtimeMs: number }
  | { type: 'warning'; store?: string; message: string; hint?: string }
  /** Work on one store ended; the details are in the result. */
  | { type: 'ended'; store: string; ok: boolean; message?: string };

export type Emit = (event: Event) => void;
