// Names in archives are input: which of them may become a path under a directory of this host, and which are refused.
import { PkbackupError } from '../errors.ts';
import { type RawName, rawOfBytes } from './raw-name.ts';

const windowsReserved = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?$/i;

/** More than any system holds. */
const longestBytes = 32_767;

/** The parts of an entry's path; none for the root itself. Throws `bad_backup` where it could leave the root. */
export function safePartsOf(path: Buffer, platform: NodeJS.Platform = process.platform): RawName[] {
  const raw = rawOfBytes(path);
  const refuse = (why: string) =>
    new PkbackupError(
      'bad_backup',
      `the archive holds the name "${path.toString('utf8', 0, 1000)}", which ${why}`,
    );
  if (raw === '') throw refuse('is empty');
  if (raw.length > longestBytes) throw refuse('is too long');
  if (raw.startsWith('/')) throw refuse('is absolute');
  if (raw.includes('\0')) throw refuse('holds a NUL');
  const parts = raw.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse('goes up with ".."');
  if (platform === 'win32') {
    const why = parts.map(whyWindowsCannotHold).find((each) => each !== undefined);
    if (why) throw refuse(why);
  }
  return parts;
}

function whyWindowsCannotHold(part: string): string | undefined {
  // A colon would name a drive or a hidden stream of another file, a backslash another directory.
  if (/[<>:"|?*\\\u0000-\u001f]/.test(part)) return 'Windows cannot hold';
  if (/[. ]$/.test(part)) return 'Windows would shorten';
  return windowsReserved.test(part) ? 'is a device on Windows' : undefined;
}
