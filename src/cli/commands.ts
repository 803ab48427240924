// The commands: names, arguments, flags and examples. What a command does is loaded when it runs.
import { type Command, Option } from 'commander';
import type { AdoptFlags } from './adopt.ts';
import type { BackupFlags } from './backup.ts';
import type { DrillFlags } from './drill.ts';
import type { GuardFlags } from './guard.ts';
import { examples } from './help.ts';
import type { InitFlags } from './init.ts';
import type { ListFlags } from './list.ts';
import type { NotifyFlags } from './notify.ts';
import type { PinFlags } from './pin.ts';
import type { PruneFlags } from './prune.ts';
import type { RecoverFlags } from './recover.ts';
import type { RestoreFlags } from './restore.ts';
import { declareScheduleCommands } from './schedule-commands.ts';
import type { Session } from './session.ts';
import type { VerifyFlags } from './verify.ts';

/** Gives the work its session and takes its exit code. */
export type Start = (
  work: (session: Session) => Promise<number>,
  /** A signal is how it is meant to end: the exit code says only what came of the work. */
  options?: { readonly endsBySignal?: boolean },
) => Promise<void>;

export function declareCommands(program: Command, start: Start): void {
  declareInit(program, start);
  declareConfig(program, start);
  declareBackup(program, start);
  declareStatus(program, start);
  declareList(program, start);
  declareVerify(program, start);
  declareDrill(program, start);
  declareRestore(program, start);
  declareGuard(program, start);
  declarePrune(program, start);
  declarePin(program, start);
  declareAdopt(program, start);
  declareRecover(program, start);
  declareNotify(program, start);
  declareScheduleCommands(program, start);
  program.command('overview', { hidden: true }).action(() => {
    return start(async (session) => (await import('./status.ts')).runOverview(session));
  });
}

function declareInit(program: Command, start: Start): void {
  program
    .command('init')
    .description('find what there is to back up, and write it into pkbackup.yaml')
    .option('--project <NAME>', 'only this compose project (COMPOSE_PROJECT_NAME)')
    .option('--add <NAME...>', 'add one more to the config file: a volume, container or path that was found')
    .option('-y, --yes', 'do not ask: take all stores, and all volumes of their projects')
    .option('--dry-run', 'print what would be written')
    .addHelpText(
      'after',
      examples(
        ['pkbackup init', 'shows what was found, asks, and writes pkbackup.yaml here'],
        ['pkbackup init --project work --config work.yaml', 'one instance of several'],
        ['pkbackup init --add stack_uploads', 'a volume that is in no backup yet'],
      ),
    )
    .action((flags: InitFlags) => {
      return start(async (session) => (await import('./init.ts')).runInit(session, flags));
    });
}

function declareConfig(program: Command, start: Start): void {
  const config = program
    .command('config')
    .description('look at the configuration: check, show, schema')
    .addHelpText(
      'after',
      examples(
        ['pkbackup config check', 'every mistake with its line; exit code 78 where there is one'],
        ['pkbackup config show', 'what counts in the end, and who said it'],
        ['pkbackup config schema > pkbackup.schema.json', 'for editors that complete the config file'],
      ),
    );
  config
    .command('check')
    .description('find every mistake in the config file and in the variables, without doing anything')
    .action(() => start(async (session) => (await import('./config.ts')).runConfigCheck(session)));
  config
    .command('show')
    .description('show every setting with its value and where it comes from; secrets are not shown')
    .action(() => start(async (session) => (await import('./config.ts')).runConfigShow(session)));
  config
    .command('schema')
    .description('print the JSON Schema of the config file, for editors')
    .action(() => start(async (session) => (await import('./config.ts')).runConfigSchema(session)));
}

function declareBackup(program: Command, start: Start): void {
  program
    .command('backup')
    .description('back up stores: all that are configured or found, or those named')
    .argument('[STORE...]', 'names of stores')
    .option(
      '--volume <NAME>',
      'of the stores that are found, take the one whose data lies in this volume (VOLUME_NAME)',
    )
    .option('--project <NAME>', 'find stores only in this compose project (COMPOSE_PROJECT_NAME)')
    .option('--compression <HOW>', 'gzip (default) or zstd')
    .option('--level <N>', 'how hard to compress')
    .option('--consistent', 'hold the clients, and pin all stores at one moment')
    .option('--no-consistent', 'do not, whatever consistent of the config file says')
    .option('--parallel <N>', 'how many stores at once (2 where nothing says it)')
    .option('--allow-empty', 'back up a store even though there is nothing in it')
    .option('--fail-on-shrink', 'publish no backup that has much less in it than the last good one')
    .option('--no-fail-on-shrink', 'only warn, whatever fail_on_shrink of the config file says')
    .option('--drill', 'then restore each into a throwaway place, as pkbackup drill does')
    .option('--prune', 'then prune the stores that were backed up, by the retention policy')
    .option('--no-prune', 'do not, whatever after_backup of the config file says')
    .option('--dry-run', 'look at the stores and say what would be done, and how long it would take')
    .addHelpText(
      'after',
      examples(
        ['pkbackup backup', 'everything, as one set'],
        ['pkbackup backup vectors graph --compression zstd', 'two stores, smaller and faster'],
        ['pkbackup backup --dry-run', 'what would be done'],
      ),
    )
    .action((stores: string[], flags: BackupFlags) => {
      return start(async (session) => (await import('./backup.ts')).runBackup(session, stores, flags));
    });
}

function declareAdopt(program: Command, start: Start): void {
  program
    .command('adopt')
    .description(
      'take over what older scripts made: it gets metadata and checksums, and comes under retention; nothing is renamed',
    )
    .argument('[PATH...]', 'directories or files (default: the repository)')
    .option('--store <NAME>', 'the store that they are of, where that is not found by itself')
    .option('--undo', 'take the metadata away again')
    .option('--dry-run', 'say what would be adopted')
    .addHelpText(
      'after',
      examples(
        ['pkbackup adopt --dry-run', 'what older scripts have left in the repository'],
        ['pkbackup adopt', 'read, check and adopt all of it'],
        ['pkbackup adopt backups/*.sqlite --store app', 'these files, as backups of the store "app"'],
      ),
    )
    .action((paths: string[], flags: AdoptFlags) => {
      return start(async (session) => (await import('./adopt.ts')).runAdopt(session, paths, flags));
    });
}

function declareNotify(program: Command, start: Start): void {
  program
    .command('notify')
    .description('show who is told what came of a run; with --test, send them a message')
    .argument('[NAME...]', 'names under notify of the config file, BACKUP_WEBHOOK or BACKUP_EMAIL')
    .option('--test', 'send a test message, and say where it did not arrive')
    .addHelpText(
      'after',
      examples(
        ['pkbackup notify', 'who is told, and when'],
        ['pkbackup notify --test', 'a message to everyone, whatever they want to hear of'],
        ['pkbackup notify ops --test', 'to one of them'],
      ),
    )
    .action((names: string[], flags: NotifyFlags) => {
      return start(async (session) => (await import('./notify.ts')).runNotify(session, names, flags));
    });
}

function declareRecover(program: Command, start: Start): void {
  program
    .command('recover')
    .description(
      'let go, finish or remove what a crashed run has left; every command does it first, but for helpers',
    )
    .option('--dry-run', 'say what would be done')
    .addHelpText(
      'after',
      examples(
        ['pkbackup recover --dry-run', 'what a crash has left, if anything'],
        ['pkbackup recover', 'start what is still stopped, remove what was never finished'],
      ),
    )
    .action((flags: RecoverFlags) => {
      return start(async (session) => (await import('./recover.ts')).runRecover(session, flags));
    });
}

function declareStatus(program: Command, start: Start): void {
  program
    .command('status')
    .description('show how well everything is backed up; exit code 9 where anything is not as it should be')
    .argument('[STORE...]', 'names of stores')
    .addHelpText(
      'after',
      examples(
        ['pkbackup status', 'every store, and the repository'],
        ['pkbackup status --quiet', 'for a health check: nothing but what is wrong, and exit code 9'],
        ['pkbackup status vectors --json', 'one store, for programs'],
      ),
    )
    .action((stores: string[]) => {
      return start(async (session) => (await import('./status.ts')).runStatus(session, stores));
    });
}

function declareList(program: Command, start: Start): void {
  program
    .command('list')
    .description('list backups, the newest first')
    .argument('[STORE...]', 'names of stores')
    .option('--all', 'every backup, not only the newest of each store and those that are pinned or damaged')
    .addHelpText(
      'after',
      examples(
        ['pkbackup list', 'of each store what matters'],
        ['pkbackup list vectors --all', 'every backup of one store'],
        ['pkbackup list --json', 'for programs: exact sizes, times in UTC'],
      ),
    )
    .action((stores: string[], flags: ListFlags) => {
      return start(async (session) => (await import('./list.ts')).runList(session, stores, flags));
    });
}

function declareVerify(program: Command, start: Start): void {
  program
    .command('verify')
    .description('check backups: the newest of every store, or those named')
    .argument('[BACKUP...]', 'file, stem, STORE@latest, STORE@2, set id, or the name of a store')
    .option(
      '--level <LEVEL>',
      'checksum, archive (every member and entry) or content (the database inside)',
      'archive',
    )
    .option('--newest', 'the newest of every store; so it is without any of these')
    .option('--all', 'every backup')
    .option('--since <WHEN>', 'those made since, such as 7d or 2026-11-20')
    .option('--sample <N>', 'N of them: those that were checked the longest ago')
    .addHelpText(
      'after',
      examples(
        ['pkbackup verify', 'the newest backup of every store'],
        ['pkbackup verify vectors@2 --level content', 'open the database inside and check it'],
        [
          'pkbackup verify --sample 3 --level content',
          'every night three others, so that all have their turn',
        ],
        ['pkbackup verify --level checksum *.tar.gz', 'files, by their checksums only'],
      ),
    )
    .action((backups: string[], flags: VerifyFlags) => {
      return start(async (session) => (await import('./verify.ts')).runVerify(session, backups, flags));
    });
}

function declareDrill(program: Command, start: Start): void {
  const also = (value: string, before: string[]) => [...before, value];
  program
    .command('drill')
    .description(
      'restore backups into throwaway places, and ask whether all is there: the newest of every store, or those named',
    )
    .argument('[BACKUP...]', 'file, stem, STORE@latest, STORE@2, set id, or the name of a store')
    .option(
      '--image <IMAGE>',
      'under this image, which must be here already: would it come up under that version?',
    )
    .option(
      '--expected-min <N>',
      'at least N of the largest count, or NAME=N of one; again for others',
      also,
      [],
    )
    .option(
      '--check <COMMAND...>',
      'then run COMMAND, which is all that follows; PKBACKUP_DRILL_* in its environment say where the restored store is',
    )
    .addHelpText(
      'after',
      examples(
        ['pkbackup drill', 'the newest backup of every store'],
        ['pkbackup drill vectors --image chromadb/chroma:1.5.0', 'would it survive the upgrade?'],
        ['pkbackup drill rows@2 --expected-min rows=1000', 'an older one, which must have that many'],
        ['pkbackup drill vectors --check ./ask.sh --all', 'with a check of your own'],
      ),
    )
    .action((backups: string[], flags: DrillFlags) => {
      return start(async (session) => (await import('./drill.ts')).runDrill(session, backups, flags));
    });
}

function declareRestore(program: Command, start: Start): void {
  program
    .command('restore')
    .description('put a backup back; without BACKUP, list what there is')
    .argument('[BACKUP]', 'file, stem, STORE@latest, STORE@2 or set id')
    .argument('[STORE...]', 'of a set: only these stores')
    .option('--rollback', 'put back what the last restore of the store BACKUP replaced')
    .option('--store <NAME>', 'into this store, where the backup is of none or of another')
    .option(
      '--to <TARGET>',
      'restore beside: another volume, file or directory, which must be empty; or project:NAME, another compose project',
    )
    .option('--volume-options', 'make missing volumes with the driver and options that the backup names')
    .option('--project <NAME>', 'find the store only in this compose project (COMPOSE_PROJECT_NAME)')
    .option('-y, --yes', 'do not ask')
    .option('--no-safety-backup', 'do not keep the present data as a backup (only with --yes)')
    .option('--dry-run', 'check the backup and say what would be replaced')
    .addHelpText(
      'after',
      examples(
        ['pkbackup restore vectors@latest', 'the newest backup; shows the plan and asks'],
        ['pkbackup restore events@2 --to /tmp/events.db', 'an older one, beside the present data'],
        ['pkbackup restore vectors@latest --yes', 'without asking, for scripts'],
        ['pkbackup restore 20261120-020000-1f3a', 'a whole set: all of its stores, or none'],
        ['pkbackup restore 20261120-020000-1f3a --to project:other', 'into another compose project, all new'],
        ['pkbackup restore vectors --rollback', 'back to what the last restore replaced'],
      ),
    )
    .action((backup: string | undefined, only: string[], flags: RestoreFlags) => {
      return start(async (session) =>
        (await import('./restore.ts')).runRestore(session, backup, only, flags),
      );
    });
}

function declareGuard(program: Command, start: Start): void {
  const also = (value: string, before: string[]) => [...before, value];
  program
    .command('guard')
    .description(
      'run a command, such as an upgrade, with a way back: backup before, look at the stores after, roll back what is not well',
    )
    .usage('[options] [STORE...] -- COMMAND...')
    .argument('[STORE...]', 'names of stores: all that are configured or found, or those named')
    .option(
      '--rollback <WHEN>',
      'when something is wrong: ask, auto (do it) or never; without a terminal ask is never',
      'ask',
    )
    .option('--deadline <DURATION>', 'how long COMMAND may take, such as 10m')
    .option(
      '--drill-image <IMAGE>',
      'first restore the backup into a throwaway place under this image; STORE=IMAGE where there are several',
      also,
      [],
    )
    .option('--may-shrink <PERCENT>', 'how much less than before may be there afterwards', '0')
    .option('--volume <NAME>', 'of the stores that are found, take the one in this volume (VOLUME_NAME)')
    .option('--project <NAME>', 'find stores only in this compose project (COMPOSE_PROJECT_NAME)')
    .option('--undo', 'of a guard that waits: go back')
    .option('--accept', 'of a guard that waits: keep things as they are')
    .addOption(new Option('--run <COMMAND>', 'all that follows "--"').argParser(also).default([]).hideHelp())
    .addHelpText(
      'after',
      examples(
        ['pkbackup guard vectors -- docker compose up -d vectors', 'upgrade, and ask where it went wrong'],
        ['pkbackup guard --rollback auto -- ./upgrade.sh', 'all stores, without anybody watching'],
        ['pkbackup guard vectors --drill-image chromadb/chroma:1.5.0 -- ./up.sh', 'would it come up at all?'],
        ['pkbackup guard --undo', 'back to what was before, of a guard that waits'],
      ),
    )
    .action((stores: string[], flags: GuardFlags) => {
      return start(async (session) => (await import('./guard.ts')).runGuard(session, stores, flags));
    });
}

function declarePrune(program: Command, start: Start): void {
  program
    .command('prune')
    .description('move old backups to the trash by the retention policy; never the newest good one')
    .argument('[STORE...]', 'names of stores')
    .option('--keep-last <N>', 'keep the newest N')
    .option('--keep-within <DURATION>', 'keep what is younger, such as 30d, 12h or 6w')
    .option('--keep-hourly <N>', 'keep one an hour, for the last N hours that have any')
    .option('--keep-daily <N>', 'keep one a day')
    .option('--keep-weekly <N>', 'keep one a week')
    .option('--keep-monthly <N>', 'keep one a month')
    .option('--keep-quarterly <N>', 'keep one a quarter')
    .option('--keep-yearly <N>', 'keep one a year')
    .option(
      '--max-size <SIZE>',
      'of what only these rules keep, the oldest go beyond this size, such as 50GB',
    )
    .option('--retention <DAYS>', 'keep what is younger than DAYS; 0 keeps everything (RETENTION_DAYS)')
    .option('--keep-sets-whole', 'keep all backups of a set as long as one of them is kept (default)')
    .option('--no-keep-sets-whole', 'plan each backup by itself')
    .option('--keep-safety <DURATION>', 'how long the safety backup of a restore is kept (default: 7d)')
    .option('--time-zone <NAME>', 'where hours, days, weeks ... are counted, such as Europe/Berlin')
    .option('--week-start <DAY>', 'the first day of a week: monday (default) to sunday')
    .option('--empty-trash', 'also remove for good what is in the trash')
    .option('--dry-run', 'print the plan, with a reason for each backup')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      examples(
        ['pkbackup prune --dry-run', 'the plan, by the policy of the config file'],
        ['pkbackup prune --keep-daily 7 --keep-weekly 4', 'by this policy instead; shows the plan and asks'],
        ['pkbackup prune vectors --retention 30 --yes', 'one store, without asking'],
      ),
    )
    .action((stores: string[], flags: PruneFlags) => {
      return start(async (session) => (await import('./prune.ts')).runPrune(session, stores, flags));
    });
}

function declarePin(program: Command, start: Start): void {
  const what = 'file, stem, STORE@latest, STORE@2 or set id';
  program
    .command('pin')
    .description('mark a backup (or all of a set) so that prune keeps it')
    .argument('<BACKUP>', what)
    .option('--reason <TEXT>', 'why; shown by list')
    .addHelpText(
      'after',
      examples(
        ['pkbackup pin vectors@latest --reason "before 1.5"', 'keep it until it is unpinned'],
        ['pkbackup pin 20261120-020000-5a06', 'all backups of a set'],
      ),
    )
    .action((backup: string, flags: PinFlags) => {
      return start(async (session) => (await import('./pin.ts')).runPin(session, backup, flags));
    });
  program
    .command('unpin')
    .description('let prune treat a backup as any other again')
    .argument('<BACKUP>', what)
    .addHelpText(
      'after',
      examples(
        ['pkbackup unpin vectors@3', 'one backup'],
        ['pkbackup unpin 20261120-020000-5a06', 'all backups of a set'],
      ),
    )
    .action((backup: string) => {
      return start(async (session) => (await import('./pin.ts')).runUnpin(session, backup));
    });
  program
    .command('undelete')
    .description('bring a backup back that prune has moved to the trash')
    .argument('<BACKUP>', 'stem, or set id')
    .addHelpText(
      'after',
      examples(
        ['pkbackup undelete vectors-backup-20261120-020000', 'one backup'],
        ['pkbackup undelete 20261120-020000-5a06', 'all backups of a set'],
      ),
    )
    .action((backup: string) => {
      return start(async (session) => (await import('./pin.ts')).runUndelete(session, backup));
    });
}
