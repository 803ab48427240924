import type { RootRecipe } from '../recipe.ts';

export const debianTrixie: RootRecipe = {
  image: 'pkbackup-test/debian:trixie',
  root: { suite: 'trixie', packages: ['ca-certificates', 'dumb-init'] },
};
