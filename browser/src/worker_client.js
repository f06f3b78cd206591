/** What the promise of a stopped task is rejected with. */
export const STOPPED = "Stopped.";

// A worker loaded from an address has the policy that its own answer states, and a static host
// states none. One loaded from a blob has the page's: it too can reach no other host.
const base = new URL(".", document.baseURI).href;
const start = `tfkdBase = ${JSON.stringify(base)}; importScripts(tfkdBase + "worker.js");`;
const address = URL.createObjectURL(new Blob([start], { type: "text/javascript" }));

/** The worker as seen from the page: one promise a task. */
export class WorkerClient {
  #worker;
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#start();
  }

  /**
   * Runs a task of `worker.js`.
   *
   * @param {string} task its name.
   * @param {object} given what it takes.
   * @param {(progress: object) => void} onProgress called with what it reports.
   * @returns {Promise<object>} its result.
   */
  run(task, given, onProgress = () => {}) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, task, ...given });
    });
  }

  /** Ends what runs; its promise is rejected, and the next worker knows no model. */
  stop() {
    this.#worker.terminate();
    this.#rejectAll(STOPPED);
    this.#start();
  }

  #start() {
    this.#worker = new Worker(address);
    this.#worker.onmessage = ({ data: { id, progress, result, error } }) => {
      const task = this.#waiting.get(id);
      if (progress) return task?.onProgress(progress);
      this.#waiting.delete(id);
      if (error) task?.reject(new Error(error));
      else task?.resolve(result);
    };
    this.#worker.onerror = ({ message }) =>
      this.#rejectAll(
        `The page's worker failed: ${message ?? "it cannot be loaded"}. Open the page through a ` +
          "web server, not as a file, and load it again.",
      );
  }

  #rejectAll(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}
