import { aptInstall } from '../host/apt.ts';
import { isOnPath, run } from '../host/run.ts';

const dependencyPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1';

/** Copies what the dependencies of a `pom.xml` need at run time into `dir`, from where this machine's Maven finds it. */
export async function mavenCopy(dir: string, pom: string): Promise<void> {
  if (!(await isOnPath('mvn'))) await aptInstall(['maven']);
  await run('mvn', [
    '--batch-mode',
    '--quiet',
    `--file=${pom}`,
    `${dependencyPlugin}:copy-dependencies`,
    `-DoutputDirectory=${dir}`,
    '-DincludeScope=runtime',
    '-DincludeTypes=jar',
  ]);
}
