// The words of docs/design.md that are data: kinds and ways to hold a store still.

export const kinds = ['chromadb', 'falkordb', 'neo4j', 'postgres', 'sqlite', 'volume', 'directory'] as const;
export type Kind = (typeof kinds)[number];

/** How a store is held still while its bytes are read; `none` is hot. */
export const quiesceModes = ['none', 'pause', 'stop'] as const;
export type Quiesce = (typeof quiesceModes)[number];

export const compressions = ['gzip', 'zstd'] as const;
export type Compression = (typeof compressions)[number];

export const compressionLevels: Readonly<
  Record<Compression, { least: number; usual: number; most: number }>
> = {
  gzip: { least: 1, usual: 6, most: 9 },
  zstd: { least: 1, usual: 3, most: 22 },
};

/** What a store says of itself: collections, nodes, tables, rows, files ... */
export type Counts = Record<string, number>;
