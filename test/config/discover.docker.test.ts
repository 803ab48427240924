// What is found in a real Engine: each test looks only into compose projects of its own.
import { beforeAll, describe, expect, it } from 'vitest';
import { findUncovered } from '../../src/config/coverage.ts';
import { type DiscoverOptions, type Discovery, discover, discoverStores } from '../../src/config/discover.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { docker, makeContainer, makeVolume, uniqueName, volumeNamed } from '../docker/bed.ts';
import { application, project, servers } from '../docker/compose.ts';

const { signal } = new AbortController();
beforeAll(() => requireTestbed('chromadb', 'falkordb', 'neo4j', 'postgres'));

const find = async (options: Omit<DiscoverOptions, 'signal'>): Promise<Discovery> =>
  discover(await docker(), { signal, ...options });
const namesOf = (stores: Discovery['stores']) => stores.map(({ name, kind }) => `${name} ${kind}`).sort();

describe('the containers of a compose project', () => {
  it('are stores where a kind recognises them, offers where they only have volumes, and others', async () => {
    const name = uniqueName('stack');
    await project(name, {
      ...servers,
      app: { volumes: { uploads: '/uploads' } },
      proxy: {},
    });
    const found = await find({ project: name });
    expect(namesOf(found.stores)).toEqual([
      'graph falkordb',
      'old neo4j',
      'rows postgres',
      'vectors chromadb',
    ]);
    expect(found.stores.every((store) => store.project === name)).toBe(true);
    expect(found.offers).toMatchObject([
      { name: 'uploads', kind: 'volume', target: { volume: `${name}_uploads` } },
    ]);
    expect(found.offers[0]?.description).toBe('mounted by "app" at /uploads');
    expect(found.others.map((container) => container.name).sort()).toEqual([
      `${name}-app-1`,
      `${name}-proxy-1`,
    ]);
    expect(found).toMatchObject({ project: name, notUnderstood: [], leftOut: [] });
  });

  it('are found by the directory of their compose file, unless that is the directory of several projects', async () => {
    const [name, other] = [uniqueName('stack'), uniqueName('stack')];
    const directory = `/srv/${name}`;
    await project(name, { vectors: servers.vectors });
    expect((await find({ directories: ['/elsewhere', directory] })).project).toBe(name);
    await project(other, { vectors: servers.vectors }, directory);
    const both = await find({ directories: [directory] });
    expect(both.project).toBeUndefined();
    expect(both.stores.flatMap((store) => store.project ?? [])).toEqual(
      expect.arrayContaining([name, other]),
    );
    await expect(find({ project: `${name}x` })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining(`did you mean "${name}"?`),
    });
  });
});

describe('labels', () => {
  it('name a store, say its kind and how it is held, and who writes to it', async () => {
    const name = uniqueName('stack');
    await project(name, {
      one: {
        ...servers.vectors,
        labels: {
          'pkbackup.name': 'embeddings',
          'pkbackup.clients': 'app, worker',
          'pkbackup.quiesce': 'stop',
        },
      },
      // An image of somebody's own.
      two: { volumes: { two: '/data' }, labels: { 'pkbackup.kind': 'falkordb' } },
      three: {
        volumes: { files: '/files', cache: '/cache' },
        labels: { 'pkbackup.kind': 'volume', 'pkbackup.quiesce': 'none' },
      },
      four: {
        volumes: { media: '/media' },
        labels: { 'pkbackup.kind': 'volume', 'pkbackup.name': 'pictures' },
      },
    });
    const { stores, offers, notUnderstood } = await find({ project: name });
    expect(notUnderstood).toEqual([]);
    expect(namesOf(stores)).toEqual([
      'embeddings chromadb',
      'pictures volume',
      'three-cache volume',
      'three-files volume',
      'two falkordb',
    ]);
    expect(stores.find((store) => store.name === 'embeddings')).toMatchObject({
      quiesce: 'stop',
      clients: ['app', 'worker'],
      target: { container: `${name}-one-1` },
    });
    expect(stores.find((store) => store.name === 'three-files')).toMatchObject({
      quiesce: 'none',
      target: { volume: `${name}_files` },
    });
    expect(offers).toEqual([]);
  });

  it('leave containers and volumes out', async () => {
    const name = uniqueName('stack');
    await project(name, {
      ...servers,
      vectors: { ...servers.vectors, labels: { 'pkbackup.enable': 'false' } },
    });
    await makeVolume(`${name}_scratch`, { 'com.docker.compose.project': name, 'pkbackup.enable': 'False' });
    const { stores, leftOut, offers } = await find({ project: name });
    expect(namesOf(stores)).toEqual(['graph falkordb', 'old neo4j', 'rows postgres']);
    expect(leftOut).toEqual([`container "${name}-vectors-1"`, `volume "${name}_scratch"`]);
    // A volume whose container is left out is nobody's.
    expect(offers.map((offer) => offer.name)).toEqual(['vectors']);
  });

  it('mark volumes, also those of the replaced scripts, but not the volume of a server twice', async () => {
    const name = uniqueName('stack');
    const marked = { 'com.pcg-cc-mcp.backup': 'true', 'com.docker.compose.project': name };
    await makeVolume(`${name}_vectors`, marked);
    await makeVolume(`${name}_repos`, marked);
    await makeVolume(`${name}_notes`, {
      'com.docker.compose.project': name,
      'pkbackup.enable': 'true',
      'pkbackup.name': 'my-notes',
      'pkbackup.quiesce': 'stop',
    });
    await makeContainer({
      image: 'pkbackup-test/chromadb:1',
      name: `${name}-vectors-1`,
      labels: { 'com.docker.compose.project': name, 'com.docker.compose.service': 'vectors' },
      volumes: { [`${name}_vectors`]: '/data' },
      isStarted: false,
    });
    const { stores } = await find({ project: name });
    expect(namesOf(stores)).toEqual(['my-notes volume', 'repos volume', 'vectors chromadb']);
  });

  it('that are wrong are told with what is expected, and nothing is guessed', async () => {
    const name = uniqueName('stack');
    const labels: [string, Record<string, string>, string][] = [
      ['a', { 'pkbackup.kind': 'chroma' }, 'label "pkbackup.kind": expected one of chromadb,'],
      [
        'b',
        { 'pkbackup.enabel': 'true' },
        'unknown label "pkbackup.enabel", did you mean "pkbackup.enable"?',
      ],
      ['c', { 'pkbackup.enable': 'maybe' }, 'label "pkbackup.enable": expected true or false, got "maybe"'],
      [
        'd',
        { 'pkbackup.name': '../x' },
        'label "pkbackup.name": "../x" cannot be the name of a store (it could be "x")',
      ],
      [
        'e',
        { 'pkbackup.quiesce': 'none' },
        'label "pkbackup.quiesce": expected stop for kind chromadb, got "none"',
      ],
      ['f', { 'pkbackup.kind': 'directory' }, '"directory" is no kind that this container can be'],
    ];
    for (const [service, said] of labels)
      await project(name, { [service]: { ...servers.vectors, volumes: {}, labels: said } });
    await project(name, { g: { labels: { 'pkbackup.enable': 'true' } } });
    const { stores, notUnderstood } = await find({ project: name });
    expect(stores).toEqual([]);
    expect(notUnderstood.map(({ what }) => what).sort()).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((service) => `container "${name}-${service}-1"`),
    );
    const whyOf = (service: string) => notUnderstood.find(({ what }) => what.includes(`-${service}-1`))?.why;
    for (const [service, , expected] of labels) expect(whyOf(service)).toContain(expected);
    expect(whyOf('g')).toContain('set "pkbackup.kind" too');
    await project(name, { good: servers.vectors });
    const wanted = async (...names: string[]) =>
      discoverStores(await docker(), names, { signal, project: name });
    expect(await wanted('good')).toMatchObject([{ name: 'good' }]);
    await expect(wanted()).rejects.toMatchObject({ code: 'config' });
    await expect(wanted('good', 'a')).rejects.toMatchObject({ code: 'config' });
  });
});

describe('volumes that no store saves', () => {
  it('are those of the projects that nothing covers, and marked ones of no project', async () => {
    const [name, other] = [uniqueName('stack'), uniqueName('other')];
    await project(name, { ...servers, app: { volumes: { uploads: '/uploads', cache: '/cache' } } });
    await project(other, { app: { volumes: { theirs: '/data' } } });
    const external = volumeNamed(uniqueName('external'));
    await makeContainer({
      ...application,
      name: `${name}-worker-1`,
      labels: { 'com.docker.compose.project': name, 'com.docker.compose.service': 'worker' },
      volumes: { [external]: '/external' },
      isStarted: false,
    });
    const marked = await makeVolume(uniqueName('marked'), { 'com.pcg-cc-mcp.backup': 'true' });
    const uncovered = async (volumes: string[], ignored: string[] = []) => {
      const found = await findUncovered(await docker(), { volumes, projects: [name], ignored }, signal);
      // Other tests may have marked some at the same time.
      return found.filter(({ name: each }) => each.startsWith(name) || [external, marked].includes(each));
    };
    const saved = ['vectors', 'graph', 'rows', 'old'].map((short) => `${name}_${short}`);
    expect((await uncovered(saved)).sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
      [
        { name: `${name}_cache`, users: ['app'] },
        { name: `${name}_logs`, users: ['old'] },
        { name: `${name}_uploads`, users: ['app'] },
        { name: external, users: ['worker'] },
        { name: marked, users: [] },
      ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
    const left = await uncovered(saved, ['cache', `${name}_logs`, 'uploads', external]);
    expect(left).toEqual([{ name: marked, users: [] }]);
  });
});
