/**
 * A HEALTHCHECK instruction: asked every second, so that tests wait for `healthy` and not for a time; patient, so that
 * a busy machine is not taken for a sick server.
 */
export function healthCheck(command: string[], startPeriodSeconds = 60): string {
  return `HEALTHCHECK --interval=1s --timeout=15s --start-period=${startPeriodSeconds}s --retries=5 \\
  CMD ${JSON.stringify(command)}`;
}
