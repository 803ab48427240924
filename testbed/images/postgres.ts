// PostgreSQL of Debian, with pgvector, behind the same paths, user id, variables and signals as the official image.
import { join } from 'node:path';
import type { RootRecipe, ServerRecipe } from '../recipe.ts';
import type { Suite } from '../steps/debian-root.ts';
import { healthCheck } from '../steps/health-check.ts';
import { place } from '../steps/tree.ts';

const scripts = join(import.meta.dirname, 'postgres');

export const postgres17 = postgres(17, 'trixie', ['postgresql-17-pgvector']);
// bookworm has no pgvector
export const postgres15 = postgres(15, 'bookworm', []);

function postgres(major: number, suite: Suite, extensions: string[]): ServerRecipe {
  const bin = `/usr/lib/postgresql/${major}/bin`;
  return {
    image: `pkbackup-test/postgres:${major}`,
    source: import.meta.filename,
    sourceDirs: [scripts],
    base: postgresRoot(major, suite, extensions),
    layOut: (tree) =>
      place(tree, '/usr/local/bin/docker-entrypoint.sh', join(scripts, 'docker-entrypoint.sh'), 0o755),
    dockerfile: `
ENV LANG=en_US.utf8 PG_MAJOR=${major} PATH=$PATH:${bin} PGDATA=/var/lib/postgresql/data
RUN sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/${major}/postgresql.conf.sample \\
  && grep -q "^listen_addresses = '\\*'" /usr/share/postgresql/${major}/postgresql.conf.sample \\
  && mkdir /docker-entrypoint-initdb.d \\
  && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql "$PGDATA" \\
  && install -d -o postgres -g postgres -m 3777 /var/run/postgresql
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
${healthCheck(['sh', '-c', `${bin}/pg_isready -q -h 127.0.0.1 -U "\${POSTGRES_USER:-postgres}" -d postgres`])}
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
`,
  };
}

function postgresRoot(major: number, suite: Suite, extensions: string[]): RootRecipe {
  return {
    image: `pkbackup-test/debian:${suite}-postgresql`,
    root: {
      suite,
      packages: [
        'ca-certificates',
        'gosu',
        'locales',
        'xz-utils',
        'zstd',
        `postgresql-${major}`,
        ...extensions,
      ],
      // The official image's user id; the package takes a user that is there already.
      earlyHooks: [
        `echo 'postgres:x:999:' >> "$1"/etc/group`,
        `echo 'postgres:x:999:999::/var/lib/postgresql:/bin/bash' >> "$1"/etc/passwd`,
        `echo 'postgres:!:::::::' >> "$1"/etc/shadow`,
      ],
      hooks: [
        'chroot "$1" localedef -i en_US -c -f UTF-8 en_US.UTF-8',
        'rm -rf "$1"/usr/share/i18n "$1"/var/lib/postgresql/* "$1"/etc/postgresql/*',
      ],
    },
  };
}
