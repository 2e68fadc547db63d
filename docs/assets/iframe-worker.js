/* The search runs in a worker, and browsers allow none to a page that was opened from a folder
   (file://). There, the same script runs in a hidden frame, which is called as a worker is. */
if (location.protocol === "file:") {
  window.IFrameWorker = class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      // Before the script of the worker: what it posts comes to its owner.
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      this.frame.srcdoc =
        "<script>self.postMessage = (data) => parent.postMessage(data, '*')</script>" +
        `<script src="${new URL(url, document.baseURI)}"></script>`;
      this.frame.addEventListener("load", () => {
        const posts = this.waiting;
        this.waiting = null;
        posts.forEach((data) => this.postMessage(data));
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
