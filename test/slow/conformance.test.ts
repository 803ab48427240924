// The seeds that take too long for `npm test`.
import { conformance, loadSeeds } from '../stores/conformance.ts';

for (const seed of await loadSeeds()) if (seed.isSlow) conformance(seed);
