import { expect, test } from 'vitest';
import { readLabels } from '../../src/config/labels.ts';
import { ownLabels } from '../../src/docker/index.ts';

test('labels that pkbackup gives to what it makes itself are no mistakes of a person', () => {
  const problems: string[] = [];
  const labels = Object.fromEntries(ownLabels.map((label) => [label, 'some-id']));
  expect(readLabels(labels, problems)).toEqual({ clients: [] });
  expect(problems).toEqual([]);
  expect(ownLabels).toContain('pkbackup.drill');
});

test('others that begin so are, and the near one is said', () => {
  const problems: string[] = [];
  readLabels({ 'pkbackup.quiese': 'none', 'com.example.other': 'y' }, problems);
  expect(problems).toEqual(['unknown label "pkbackup.quiese", did you mean "pkbackup.quiesce"?']);
});
