// Neo4j 5 Community, put together from its Maven artifacts and laid out as in the official image, which has no health
// check: the store brings its own.
import { join } from 'node:path';
import type { ServerRecipe } from '../recipe.ts';
import { mavenCopy } from '../steps/maven.ts';
import { place } from '../steps/tree.ts';

const sources = join(import.meta.dirname, 'neo4j');
const home = '/var/lib/neo4j';
const programs = ['neo4j', 'neo4j-admin', 'cypher-shell'];

export const neo4j5: ServerRecipe = {
  image: 'pkbackup-test/neo4j:5',
  source: import.meta.filename,
  sourceDirs: [sources],
  base: {
    image: 'pkbackup-test/debian:bookworm-java',
    root: {
      suite: 'bookworm',
      packages: ['ca-certificates', 'gosu', 'jq', 'openjdk-17-jre-headless', 'procps', 'tini', 'wget'],
      // its package puts links there, and the pages are left out
      earlyHooks: ['mkdir -p "$1"/usr/share/man/man1'],
    },
  },
  async layOut(tree) {
    await mavenCopy(join(tree, home, 'lib'), join(sources, 'pom.xml'));
    for (const name of programs) await place(tree, `${home}/bin/${name}`, join(sources, name), 0o755);
    for (const name of ['docker-entrypoint.sh', 'share-classes'])
      await place(tree, `/startup/${name}`, join(sources, name), 0o755);
  },
  dockerfile: `
ENV NEO4J_EDITION=community NEO4J_HOME=${home} LANG=C.UTF-8 PATH=${home}/bin:$PATH JAVA_OPTS=""
RUN groupadd --gid 7474 neo4j && useradd --uid 7474 --gid neo4j --home-dir ${home} --no-create-home neo4j \\
  && cd ${home} && mkdir -p conf import plugins certificates licenses /data /logs && touch conf/neo4j.conf \\
  && ln -s /data data && ln -s /logs logs && chown -R neo4j:neo4j ${home} /data /logs && chmod 777 /data /logs \\
  && mkdir /usr/share/neo4j && chown neo4j /usr/share/neo4j && gosu neo4j:neo4j /startup/share-classes
VOLUME /data /logs
WORKDIR ${home}
EXPOSE 7474 7473 7687
ENTRYPOINT ["tini", "-g", "--", "/startup/docker-entrypoint.sh"]
CMD ["neo4j"]
`,
};
