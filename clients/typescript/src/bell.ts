/** Wakes whoever waits, or will. */
export class Bell {
  #rung = false;
  #wake = (): void => {};

  readonly ring = (): void => {
    this.#rung = true;
    this.#wake();
  };

  async wait(seconds = Infinity): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = Number.isFinite(seconds) ? setTimeout(resolve, seconds * 1000) : undefined;
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}
