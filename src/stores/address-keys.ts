// How the configuration says where a server is that runs in a container or anywhere else, for the kinds that can be both.
import { isAbsolute } from 'node:path';
import { z } from 'zod';

const text = z.string().min(1);

export const addressKeys = {
  container: text.optional(),
  /** Instead of a container: the variable that holds the URL of a server. */
  url_env: text.optional(),
  /** Or its name, its address, or where its socket is. */
  host: text.optional(),
  port: z.int().min(1).max(65_535).optional(),
  /** The directory of the client programs, where they are not on the PATH of this host. */
  tools: z.string().refine(isAbsolute, 'expected the whole path of a directory').optional(),
};

type Addressed = z.infer<z.ZodObject<typeof addressKeys>>;

/** For `superRefine`. */
export function checkAddress(
  { container, url_env, host, port, tools }: Addressed,
  context: z.core.$RefinementCtx<Addressed>,
): void {
  const wrong = (message: string) => context.addIssue({ code: 'custom', message });
  const ways = [container, url_env, host].filter((one) => one !== undefined).length;
  if (ways !== 1) wrong('expected one of "container", "url_env" and "host"');
  if (port !== undefined && host === undefined) wrong('"port" goes with "host"');
  if (container !== undefined && tools !== undefined)
    wrong('"tools" are those of this host: a container has its own');
}
