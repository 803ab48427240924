// SQL text of SQLite, as its shell writes it with `.dump`, cut into statements as it comes, in memory of the longest one.
// A trigger holds semicolons, and ends with `; END;` (https://sqlite.org/c3ref/complete.html).

const quotes: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`', '[': ']' };
const longestKeyword = 12;

export class StatementCutter {
  /** The character that ends what is quoted, or a comment of either kind. */
  #inside: string | '--' | '/*' | undefined;
  #parts: string[] = [];
  #previous = '';
  #word = '';
  #words: string[] = [];
  #isAfterSemicolon = false;
  #isAfterEnd = false;
  #isBlank = true;

  /** Those that end in this piece of the text, each with its semicolon. */
  *cut(text: string): Generator<string> {
    let start = 0;
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at] ?? '';
      const isEnd = this.#take(character);
      this.#previous = character;
      if (!isEnd) continue;
      this.#parts.push(text.slice(start, at + 1));
      start = at + 1;
      yield this.#flush();
    }
    this.#parts.push(text.slice(start));
  }

  /** Whether the text ended with a statement. */
  get isEnded(): boolean {
    return this.#isBlank && this.#inside !== '/*';
  }

  #flush(): string {
    const statement = this.#parts.join('');
    this.#parts = [];
    this.#words = [];
    this.#isAfterEnd = false;
    this.#isAfterSemicolon = false;
    this.#isBlank = true;
    return statement;
  }

  /** Whether a statement ends with this character. */
  #take(character: string): boolean {
    if (this.#inside !== undefined) {
      this.#leave(character);
      return false;
    }
    if (/[A-Za-z_]/.test(character)) {
      this.#isBlank = false;
      if (this.#word.length < longestKeyword) this.#word += character.toUpperCase();
      return false;
    }
    if (this.#word !== '') this.#endWord();
    if (character === '-' && this.#previous === '-') this.#inside = '--';
    else if (character === '*' && this.#previous === '/') this.#inside = '/*';
    else if (character in quotes) this.#inside = quotes[character];
    else if (character === ';') return this.#endsHere();
    else if (/[\s/-]/.test(character)) return false;
    else this.#isAfterSemicolon = false;
    if (this.#inside?.length === 1) this.#isAfterSemicolon = false;
    if (this.#inside?.length !== 2) this.#isBlank = false;
    return false;
  }

  #leave(character: string): void {
    const isEnd =
      this.#inside === '--'
        ? character === '\n'
        : this.#inside === '/*'
          ? character === '/' && this.#previous === '*'
          : character === this.#inside;
    if (isEnd) this.#inside = undefined;
  }

  #endWord(): void {
    if (this.#words.length < 3) this.#words.push(this.#word);
    this.#isAfterEnd = this.#word === 'END' && this.#isAfterSemicolon;
    this.#isAfterSemicolon = false;
    this.#word = '';
  }

  #endsHere(): boolean {
    if (!this.#isTrigger() || this.#isAfterEnd) return true;
    this.#isAfterSemicolon = true;
    return false;
  }

  #isTrigger(): boolean {
    const [first, second, third] = this.#words;
    if (first !== 'CREATE') return false;
    return second === 'TRIGGER' || (/^TEMP(ORARY)?$/.test(second ?? '') && third === 'TRIGGER');
  }
}

/** The first word of a statement, comments before it left out. */
export function keywordOf(statement: string): string {
  const text = statement.replace(/^(\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)+/, '');
  return /^[A-Za-z]+/.exec(text)?.[0].toUpperCase() ?? '';
}
