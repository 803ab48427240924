// Names of databases as names of files in the archive, and back. A database may be called anything: what is not plain is
// percent-encoded, as in URLs, so that whoever restores by hand can read it and every file system can hold it.
import { PkbackupError } from '../../errors.ts';

const ending = '.dump';
/** Names that Windows keeps for devices, whatever their ending. */
const device = /^(con|prn|aux|nul|com\d|lpt\d)$/i;

/** One name each, different also where letter case does not count. */
export function fileNames(databases: readonly string[]): Map<string, string> {
  const plain = databases.map((name) => name.toLowerCase());
  return new Map(
    databases.map((name) => {
      const isAlone = plain.filter((other) => other === name.toLowerCase()).length === 1;
      const keep = isAlone ? /[A-Za-z0-9_-]/ : /[a-z0-9_-]/;
      return [name, `${encode(name, keep)}${ending}`];
    }),
  );
}

function encode(name: string, keep: RegExp): string {
  const bytes = [...Buffer.from(name)];
  return bytes
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      const isKept = keep.test(character) || (character === '.' && index > 0);
      return isKept && !(index === 0 && device.test(name)) ? character : `%${hex(byte)}`;
    })
    .join('');
}

const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, '0');

/** Throws `bad_backup` where it is not the name of a dump. */
export function databaseOf(fileName: string): string {
  const name = fileName.endsWith(ending) ? fileName.slice(0, -ending.length) : '';
  const bytes = Buffer.from(
    name.replace(/%([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
  const decoded = bytes.toString('utf8');
  const isGood =
    /^(?:[A-Za-z0-9._-]|%[0-9A-F]{2})+$/.test(name) && bytes.length <= 63 && !/[\0\uFFFD]/.test(decoded);
  if (isGood) return decoded;
  throw new PkbackupError('bad_backup', `"${fileName}" is not the name of a dump`);
}
