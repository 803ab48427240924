// The flags that every command has.

export interface GlobalFlags {
  readonly config?: string;
  readonly backupDir?: string;
  readonly json?: boolean;
  readonly events?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color?: boolean;
  readonly logFile?: string;
  /** How long to wait for a lock. */
  readonly wait?: string;
}
