// What an upgrade does to a container, as a command: node recreate.mjs NAME IMAGE VOLUME:PATH [fail|hang]
// Stops and removes it, and makes it anew under its name, with its labels, from IMAGE and with that mount; afterwards it
// fails or never ends, where it is told to.
import process from 'node:process';
import Dockerode from 'dockerode';

const [name, image, bind, after] = process.argv.slice(2);
const engine = new Dockerode();
const old = engine.getContainer(name);
const { Config, HostConfig } = await old.inspect();
await old.stop({ t: 10 }).catch(() => undefined);
await old.remove();
const made = await engine.createContainer({
  Image: image,
  name,
  Labels: Config.Labels,
  HostConfig: {
    Binds: [bind],
    PortBindings: HostConfig.PortBindings,
    RestartPolicy: HostConfig.RestartPolicy,
  },
});
await made.start();
process.stdout.write(`made ${name} anew from ${image}\n`);
if (after === 'hang') setInterval(() => undefined, 1000);
else process.exit(after === 'fail' ? 3 : 0);
