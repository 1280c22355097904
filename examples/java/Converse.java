// A conversation from Java: an answer is spoken as its text comes, the listener interrupts, and the
// conversation goes on from what was heard. docs/integrations.md says how to compile and run it.

import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.csm.v1.ConverseCancel;
import org.csm.v1.ConverseConfig;
import org.csm.v1.ConverseEndOfTurn;
import org.csm.v1.ConverseRequest;
import org.csm.v1.ConverseResponse;
import org.csm.v1.ConverseText;
import org.csm.v1.SpeechAudio;
import org.csm.v1.SpeechServiceGrpc;
import org.csm.v1.SpeechTurnCompleted;

public final class Converse implements StreamObserver<ConverseResponse> {
  private static final int HEARD_MS = 500;
  private static final List<String> ANSWER =
      List.of("Of course. The station is not ", "far from here. Walk down to the river ", "and turn left.");

  private final OutputStream file;
  private final CountDownLatch ended = new CountDownLatch(1);
  private StreamObserver<ConverseRequest> call;
  private double heardMs;
  private int rateHz = 24_000;
  private int turns;
  private int exitCode;

  private Converse(OutputStream file) {
    this.file = file;
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 1) {
      System.err.println("usage: Converse FILE.pcm [HOST:PORT]");
      System.exit(2);
    }
    String target = arguments.length > 1 ? arguments[1] : "127.0.0.1:50050";
    ManagedChannel channel = ManagedChannelBuilder.forTarget(target).usePlaintext().build();
    int exitCode;
    try (OutputStream file = Files.newOutputStream(Path.of(arguments[0]))) {
      exitCode = new Converse(file).run(channel);
    } finally {
      channel.shutdownNow();
    }
    System.exit(exitCode);
  }

  private int run(ManagedChannel channel) throws InterruptedException {
    call = SpeechServiceGrpc.newStub(channel).withDeadlineAfter(60, TimeUnit.SECONDS).converse(this);
    // At most a quarter of a second ahead: what is cut off was hardly made.
    send(ConverseRequest.newBuilder().setConfig(ConverseConfig.newBuilder().setMaxLeadMs(250)));
    for (String text : ANSWER) {
      say(text);
    }
    endTurn();
    ended.await();
    return exitCode;
  }

  @Override
  public void onNext(ConverseResponse message) {
    switch (message.getResponseCase()) {
      case STARTED -> System.err.println("conversation " + message.getStarted().getConversationId());
      case TURN_STARTED -> rateHz = message.getTurnStarted().getFormat().getSampleRateHz();
      case AUDIO -> play(message.getAudio());
      case TURN_COMPLETED -> complete(message.getTurnCompleted());
      case TURN_TRUNCATED ->
          System.err.println(message.getTurnTruncated().getKeptAudioMs() + " ms stay");
      default -> { } // From a newer server.
    }
  }

  private void play(SpeechAudio audio) {
    try {
      audio.getAudio().writeTo(file);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    double before = heardMs;
    heardMs += audio.getAudio().size() / 2 * 1000.0 / rateHz;
    // Somebody speaks up: the rest of the first answer leaves the conversation.
    if (turns == 0 && before < HEARD_MS && heardMs >= HEARD_MS) {
      send(
          ConverseRequest.newBuilder()
              .setCancel(
                  ConverseCancel.newBuilder().setTurnId(audio.getTurnId()).setHeardMs(HEARD_MS)));
    }
  }

  private void complete(SpeechTurnCompleted turn) {
    System.err.println(
        "spoken turn " + turn.getTurnId() + ": " + turn.getFinishReason() + ", "
            + turn.getKeptAudioMs() + " ms kept");
    if (turn.hasError()) {
      System.err.println("  " + turn.getError().getMessage());
      exitCode = 1;
    }
    if (++turns == 1) {
      say("As you like.");
      endTurn();
      call.onCompleted();
    }
  }

  @Override
  public void onError(Throwable error) {
    System.err.println(Status.fromThrowable(error));
    exitCode = 1;
    ended.countDown();
  }

  @Override
  public void onCompleted() {
    ended.countDown();
  }

  private void say(String text) {
    send(ConverseRequest.newBuilder().setText(ConverseText.newBuilder().setText(text)));
  }

  private void endTurn() {
    send(ConverseRequest.newBuilder().setEndOfTurn(ConverseEndOfTurn.getDefaultInstance()));
  }

  private void send(ConverseRequest.Builder message) {
    call.onNext(message.build());
  }
}
