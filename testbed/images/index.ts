// The servers of the test bed. A new one is a file beside this one and a line here.
import type { ServerRecipe } from '../recipe.ts';
import { chromadb06 } from './chromadb-0.6.3.ts';
import { chromadb1 } from './chromadb-1.ts';
import { falkordb4, falkordb4Old, falkordb418 } from './falkordb-4.ts';
import { neo4j5 } from './neo4j-5.ts';
import { postgres15, postgres17 } from './postgres.ts';

export const recipes = {
  chromadb: chromadb1,
  chromadb06,
  falkordb: falkordb4,
  falkordbOld: falkordb4Old,
  falkordb418,
  neo4j: neo4j5,
  postgres: postgres17,
  postgres15,
} satisfies Record<string, ServerRecipe>;
