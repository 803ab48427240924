// What looks like a server of this host: its process id is where Neo4j's is. `node FILE start|stop|serve HOME`
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [what, home] = process.argv.slice(2);
const pidFile = join(home, 'run', 'neo4j.pid');
const has = (name) => existsSync(join(home, name));
appendFileSync(join(home, 'told'), `${what}\n`);

if (what === 'serve') {
  // Nobody may start it on data of which a part is missing.
  const isHalf = has('data') && !(has('data/databases') && has('data/transactions'));
  if (isHalf) appendFileSync(join(home, 'told'), 'on half of its data\n');
  writeFileSync(pidFile, String(process.pid));
  process.on('SIGTERM', () =>
    setTimeout(() => {
      rmSync(pidFile);
      process.exit(0);
    }, 300),
  );
  setInterval(() => {}, 1000);
}
if (what === 'start') {
  if (has('start-fails')) process.exit(3);
  if (existsSync(pidFile)) process.exit(0);
  if (has('start-is-slow')) await new Promise((resolve) => setTimeout(resolve, 1500));
  spawn(process.execPath, [process.argv[1], 'serve', home], { detached: true, stdio: 'ignore' }).unref();
  while (!existsSync(pidFile)) await new Promise((resolve) => setTimeout(resolve, 20));
}
if (what === 'stop') {
  if (has('stop-fails')) process.exit(3);
  // As `systemctl stop --no-block` does: it has not ended yet.
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGTERM');
}
