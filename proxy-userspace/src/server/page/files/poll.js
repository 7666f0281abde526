// Asks the agent for documents: once a second or less often, and only while the page is visible.

// An agent that takes longer has stopped, or the way to it is broken.
const PATIENCE = 5000;

/** An answer of the agent that is no document. */
export class Refused extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** Returns a document. Throws `Refused` if the agent refuses it, and another error if it does not answer. */
export async function ask(name, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  const patience = AbortSignal.timeout(PATIENCE);
  const response = await fetch(`api/${name}${query ? `?${query}` : ""}`, {
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
    cache: "no-store",
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body.error ?? response.statusText);
  return body;
}

/** Repeats a task, with a pause in between, until it is stopped. While the page is hidden, nothing is done. */
export class Repeated {
  #task;
  #pause;
  #timer = undefined;
  #abort = undefined;

  constructor(task, pause) {
    this.#task = task;
    this.#pause = pause;
    document.addEventListener("visibilitychange", this.#wake);
    this.now();
  }

  /** Does the task at once, whether one is under way or not. */
  now() {
    this.#abort?.abort();
    clearTimeout(this.#timer);
    const abort = new AbortController();
    this.#abort = abort;
    this.#run(abort.signal);
  }

  stop() {
    document.removeEventListener("visibilitychange", this.#wake);
    this.#abort?.abort();
    clearTimeout(this.#timer);
  }

  #wake = () => {
    if (!document.hidden) this.now();
  };

  async #run(signal) {
    if (!document.hidden) await this.#task(signal);
    if (!signal.aborted && !document.hidden) this.#timer = setTimeout(() => this.now(), this.#pause);
  }
}
