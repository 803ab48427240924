// The server without Docker of a target, for those who stop and start it.
import type { HostContext, HostServer } from '../store.ts';
import { isInContainer } from './connection.ts';
import { connectOnHost, nameAt } from './on-host.ts';
import { besideKey } from './restore-target.ts';
import type { FalkordbTarget } from './retarget.ts';
import { readInfo, saveAndFreeze } from './server.ts';
import { isRunning, tellToStop, untilServing } from './serving.ts';

/** Undefined for a target in Docker, and for a directory beside. */
export function hostServerOf(target: FalkordbTarget, { environment }: HostContext): HostServer | undefined {
  if (isInContainer(target) || target[besideKey]) return undefined;
  const never = new AbortController().signal;
  const connect = (signal = never) => connectOnHost(target, { environment, signal });
  const { url_env, host, port, tools } = target;
  // In the process that starts it again the variable is missing, because a password may be in it.
  const isGuessed = url_env !== undefined && environment[url_env] === undefined;
  return {
    name: `the server at ${nameAt(target, environment)}`,
    isSavedHot: true,

    isGuessed,

    /** No password is needed for that, and the process that starts it again has none. */
    async isRunning(signal = never) {
      if (isGuessed) return true;
      return isRunning(await connectOnHost({ url_env, host, port, tools }, { environment, signal }));
    },

    async untilServing(signal) {
      await untilServing(await connect(signal));
    },

    /** What was written since the last save would be lost: not every server saves when it is stopped. */
    async beforeStop() {
      const server = await connect();
      const info = await readInfo(server).catch(() => undefined);
      if (info?.get('loading') !== '0') return;
      if (info.get('rdb_changes_since_last_save') !== '0') await saveAndFreeze(server);
    },

    async stop() {
      await tellToStop(await connect());
    },
  };
}
