// Slack, Discord, and whoever understands one of them. What a message says is shown as it is: no mention, no link, no markup
// comes of it.
import { type Message, type Outcome, textOf } from './message.ts';

/** Far below what the services take. */
const mostBytes = 3000;

const colours: Partial<Record<Outcome, number>> = {
  failure: 0xc62828,
  warning: 0xf9a825,
  recovery: 0x2e7d32,
  success: 0x2e7d32,
};
const otherColour = 0x607d8b;

export function slackBody(message: Message): unknown {
  const colour = (colours[message.outcome] ?? otherColour).toString(16).padStart(6, '0');
  const text = textOf(message.lines, mostBytes);
  return {
    text: escapeSlack(message.title),
    ...(text === '' ? {} : { attachments: [{ color: `#${colour}`, text: codeBlock(escapeSlack(text)) }] }),
  };
}

export function discordBody(message: Message): unknown {
  const text = textOf(message.lines, mostBytes);
  return {
    content: withoutMarkup(message.title),
    allowed_mentions: { parse: [] },
    ...(text === ''
      ? {}
      : { embeds: [{ color: colours[message.outcome] ?? otherColour, description: codeBlock(text) }] }),
  };
}

/** Slack and what is like it read `text`, Discord reads `content`; each leaves the other alone. */
export function anyBody(message: Message): unknown {
  const text = textOf([message.title, ...message.lines], 1900);
  return { text: escapeSlack(text), content: withoutMarkup(text), allowed_mentions: { parse: [] } };
}

/** https://api.slack.com/reference/surfaces/formatting: these three, and no others. */
function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function codeBlock(text: string): string {
  return `\`\`\`\n${text.replaceAll('```', "'''")}\n\`\`\``;
}

function withoutMarkup(text: string): string {
  return text.replace(/[\\*_~`|>#[\]]/g, (character) => `\\${character}`);
}
