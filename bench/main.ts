// npm run bench -- [--size GB] [--runs N] [SCENARIO ...]: pkbackup beside what people would use instead, in one run,
// alternating. Tables go to stdout, the rest to stderr. Nothing is installed: what is missing is said and left out.
// `npm run bench -- --clean` removes the data sets, volumes and containers.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { openBench, type Scenario } from './bench.ts';
import { removeAll } from './docker.ts';
import { scenarios } from './scenarios/index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    clean: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) help();
else if (values.clean) clean();
else await runAll(positionals.length > 0 ? positionals : Object.keys(scenarios));

async function runAll(names: readonly string[]): Promise<void> {
  const chosen = names.map(scenarioOf);
  const bench = await openBench({ size: Number(values.size), runs: Number(values.runs) });
  process.stdout.write(`${machine()}, ${values.size} GB, ${values.runs} runs\n`);
  try {
    for (const { run } of chosen) await run(bench);
  } finally {
    removeAll('container');
    rmSync(join(bench.directory, 'out'), { recursive: true, force: true });
  }
}

function scenarioOf(name: string): Scenario {
  const scenario = scenarios[name];
  if (scenario !== undefined) return scenario;
  process.stderr.write(`no such scenario: "${name}" (there are ${Object.keys(scenarios).join(', ')})\n`);
  process.exit(64);
}

function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} processors, ${memory} GiB, ${process.platform}, Node ${process.versions.node}${dockerVersion()}`;
}

function dockerVersion(): string {
  try {
    const version = execFileSync('docker', ['version', '-f', '{{.Server.Version}}'], { stdio: 'pipe' });
    return `, Docker ${version.toString().trim()}`;
  } catch {
    return ', no Docker';
  }
}

function clean(): void {
  removeAll('container');
  removeAll('volume');
  rmSync(join(import.meta.dirname, '..', '.testbed', 'bench'), { recursive: true, force: true });
}

function help(): void {
  process.stdout.write('npm run bench -- [--size GB] [--runs N] [SCENARIO ...]\n\n');
  for (const [name, { what }] of Object.entries(scenarios))
    process.stdout.write(`  ${name.padEnd(18)}${what}\n`);
}
