// The files that the replaced scripts left. This layer tells them by their content, reads what lies beside them, and gives
// their content in the shape that the stores take, so that nobody above asks whether a backup is old. It writes nothing, and
// it knows no repository and no store. docs/migrating.md tells it for people.
export { findOldFiles, namesInRuns, type Remembered } from './find-files.ts';
export { type OldForm, oldForms, onlyIn, restorableAs, whatIs } from './forms.ts';
export { inspectListed } from './inspect-listed.ts';
export type { Listed, OldFile } from './old-file.ts';
export { readContent } from './read-content.ts';
export { readSidecars } from './sidecars.ts';
export { decodeText } from './text.ts';
