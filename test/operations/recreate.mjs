// What an upgrade does to a container, as a command: node recreate.mjs JSON
// Stops and removes `name`, and makes it anew under its name, with its labels: from `image`, with the mount `bind`, and running
// the shell `script`, where they are given. `after` that it fails, never ends, or is killed, where it is told to.
import process from 'node:process';
import Dockerode from 'dockerode';

// No server, so nobody asks whether it serves, and it has nothing to end.
const plain = { Healthcheck: { Test: ['NONE'] }, StopSignal: 'SIGKILL' };
const { name, image, bind, script, after } = JSON.parse(process.argv[2] ?? '');
const engine = new Dockerode();
const old = engine.getContainer(name);
const { Config, HostConfig } = await old.inspect();
await old.stop({ t: 10 }).catch(() => undefined);
await old.remove();
const made = await engine.createContainer({
  Image: image ?? Config.Image,
  name,
  Labels: Config.Labels,
  ...(script === undefined ? {} : { Entrypoint: ['/bin/bash', '-c'], Cmd: [script], ...plain }),
  HostConfig: {
    Binds: bind === undefined ? HostConfig.Binds : [bind],
    PortBindings: HostConfig.PortBindings,
    RestartPolicy: HostConfig.RestartPolicy,
  },
});
await made.start();
process.once('SIGINT', () => {
  process.stdout.write('was asked to end by SIGINT\n', () => process.exit(9));
});
process.stdout.write(`made ${name} anew\n`);
if (after === 'hang') setInterval(() => undefined, 1000);
if (after === 'kill') process.kill(process.pid, 'SIGKILL');
if (after === 'fail') process.exitCode = 3;
