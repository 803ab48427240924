/** Something the test bed cannot go on without; `hint` says what to type next. */
export class TestbedError extends Error {
  readonly hint: string;
  readonly exitCode: number;

  constructor(message: string, hint: string, exitCode = 1) {
    super(message);
    this.name = 'TestbedError';
    this.hint = hint;
    this.exitCode = exitCode;
  }
}

/** The machine lacks something: nothing was tried, exit code 2. */
export function missing(message: string, hint: string): TestbedError {
  return new TestbedError(message, hint, 2);
}
