/** Of a place that is named in one word (`--to`): no volume and no container has such a name. */
export const isPath = (to: string): boolean => /[/\\]|^\.{1,2}$|^~/.test(to);
