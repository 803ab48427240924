// Containers and volumes as compose makes them, with its labels; never started.
import { makeContainer, makeVolume } from './bed.ts';

export interface Service {
  readonly image?: string;
  /** Short names, as in the compose file. */
  readonly volumes?: Record<string, string>;
  /** By their paths on this machine. */
  readonly binds?: Record<string, string>;
  readonly env?: string[];
  readonly labels?: Record<string, string>;
}

/** As compose would make it; nothing is started. */
export async function project(name: string, services: Record<string, Service>, directory = `/srv/${name}`) {
  for (const [service, { image, volumes = {}, binds = {}, labels = {}, env }] of Object.entries(services)) {
    const mounts = await Promise.all(
      Object.entries(volumes).map(async ([short, destination]) => {
        const made = await makeVolume(`${name}_${short}`, {
          'com.docker.compose.project': name,
          'com.docker.compose.volume': short,
        });
        return [made, destination];
      }),
    );
    await makeContainer({
      ...(image ? { image } : application),
      name: `${name}-${service}-1`,
      labels: {
        'com.docker.compose.project': name,
        'com.docker.compose.service': service,
        'com.docker.compose.project.working_dir': directory,
        ...labels,
      },
      volumes: { ...Object.fromEntries(mounts), ...binds },
      ...(env ? { env } : {}),
      isStarted: false,
    });
  }
}

/** Of no known kind. */
export const application = { image: 'pkbackup-test/debian:trixie', command: ['sleep', '1'] };

export const servers = {
  vectors: { image: 'pkbackup-test/chromadb:1', volumes: { vectors: '/data' } },
  graph: { image: 'pkbackup-test/falkordb:4', volumes: { graph: '/var/lib/falkordb/data' } },
  rows: { image: 'pkbackup-test/postgres:17', volumes: { rows: '/var/lib/postgresql/data' } },
  old: { image: 'pkbackup-test/neo4j:5', volumes: { old: '/data', logs: '/logs' } },
};
