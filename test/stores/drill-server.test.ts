// Which line of a server's log tells why it did not come up, as servers write them.
import { expect, test } from 'vitest';
import { tellingLine } from '../../src/stores/drill-server.ts';

test.each([
  [
    'Redis, which points to its log at the end',
    `1:M 20 Nov 2026 21:12:40.386 * Server initialized
1:M 20 Nov 2026 21:12:40.389 # Can't handle RDB format version 13
1:M 20 Nov 2026 21:12:40.389 # Fatal error loading the DB, check server logs. Exiting.
`,
    "Can't handle RDB format version 13",
  ],
  [
    'a panic, with where it was',
    `thread 'main' panicked at sqlite/db.rs:157:
range start index 10 out of range for slice of length 9, it panicked
note: run with \`RUST_BACKTRACE=1\` environment variable to display a backtrace
   at db.rs:157
`,
    'range start index 10 out of range for slice of length 9, it panicked',
  ],
  [
    'Neo4j, which goes on after it',
    `2026-11-20 20:35:35.020+0000 ERROR Failed to start Neo4j on 0.0.0.0:7474.
2026-11-20 20:35:36.020+0000 INFO  Stopped.
`,
    'ERROR Failed to start Neo4j on 0.0.0.0:7474.',
  ],
  ['nothing that sounds like trouble', '\x1b[32mstarting\x1b[0m\nstill starting\n\n', 'still starting'],
  ['nothing', '', undefined],
])('%s', (_what, log, expected) => expect(tellingLine(log)).toBe(expected));
