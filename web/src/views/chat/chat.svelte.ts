// A conversation with one model or several side by side: what was asked, and each model's answer as it comes.
// Nothing of it is kept anywhere but in this page.

import { stream, type Wire } from '../../api/client';

export type Frame = Wire<'ChatFrame'>;
type ChatEvent = Wire<'ChatEvents'>['events'][number];
export type Stage = 'waiting' | 'writing' | 'done' | 'stopped' | 'failed';

export interface Settings {
  readonly temperature: number;
  readonly maxTokens: number | undefined;
}

/** Which of a machine's people this page belongs to, so that everybody gets a turn. */
const PERSON = String(Math.random()).slice(2);

export class Answer {
  text = $state('');
  stage = $state<Stage>('waiting');
  /** Questions before this one in the line. */
  ahead = $state(0);
  error = $state('');
  end = $state.raw<Wire<'ChatEnd'>>();
  readonly #control = new AbortController();

  constructor(
    readonly model: string,
    messages: readonly Wire<'ChatTurn'>[],
    settings: Settings,
  ) {
    void this.#run(messages, settings);
  }

  get isOver(): boolean {
    return this.stage !== 'waiting' && this.stage !== 'writing';
  }

  stop(): void {
    if (this.isOver) return;
    this.#control.abort();
    this.stage = 'stopped';
  }

  async #run(messages: readonly Wire<'ChatTurn'>[], settings: Settings): Promise<void> {
    const { temperature, maxTokens } = settings;
    const body: Wire<'Question'> = { model: this.model, messages: [...messages], temperature, max_tokens: maxTokens ?? null, person: PERSON };
    try {
      for await (const event of stream<ChatEvent>('/chat/answer', body, this.#control.signal)) {
        if (this.isOver) return;
        if (event.event === 'place') this.ahead = event.ahead;
        else if (event.event === 'text') {
          this.text += event.text;
          this.stage = 'writing';
        } else if (event.event === 'end') {
          this.end = event;
          this.stage = 'done';
        } else {
          this.error = event.error;
          this.stage = 'failed';
        }
      }
      if (!this.isOver) throw new Error('The connection ended before the answer did.');
    } catch (error) {
      if (this.isOver) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.stage = 'failed';
    }
  }
}

export interface Turn {
  readonly question: string;
  readonly answers: readonly Answer[];
}

export class Conversation {
  turns = $state.raw<readonly Turn[]>([]);

  get isBusy(): boolean {
    return this.turns.at(-1)?.answers.some((answer) => !answer.isOver) ?? false;
  }

  /** Ask every model, each with the part of the conversation it had itself. */
  ask(question: string, models: readonly string[], settings: Settings): void {
    const answers = models.map((model) => new Answer(model, [...this.#before(model), { role: 'user', content: question }], settings));
    this.turns = [...this.turns, { question, answers }];
  }

  /** Ask the last question again. */
  again(models: readonly string[], settings: Settings): void {
    const last = this.turns.at(-1);
    if (!last) return;
    this.stop();
    this.turns = this.turns.slice(0, -1);
    this.ask(last.question, models, settings);
  }

  stop(): void {
    this.turns.at(-1)?.answers.forEach((answer) => answer.stop());
  }

  clear(): void {
    this.stop();
    this.turns = [];
  }

  #before(model: string): Wire<'ChatTurn'>[] {
    return this.turns.flatMap(({ question, answers }) => {
      const answer = answers.find((one) => one.model === model)?.text.trim();
      return answer ? [{ role: 'user' as const, content: question }, { role: 'assistant' as const, content: answer }] : [];
    });
  }
}
