import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;

/** Java's HttpClient, which offers h2c and goes on in HTTP/2 if the server accepts.    java Client.java URL */
public class Client {
  public static void main(String[] arguments) throws Exception {
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    client.send(HttpRequest.newBuilder(URI.create(arguments[0] + "/java/first")).build(), BodyHandlers.ofString());
    var responses = new ArrayList<CompletableFuture<?>>();
    for (int number = 0; number < 100; number++) {
      var request = HttpRequest.newBuilder(URI.create(arguments[0] + "/java/" + number));
      if (number % 2 == 1) request.POST(BodyPublishers.ofString("x".repeat(number * 50)));
      responses.add(client.sendAsync(request.build(), BodyHandlers.ofString()));
    }
    for (var response : responses) response.get();
    for (int length : new int[] {1, 1000, 16_384, 100_000, 10 << 20}) {
      var request = HttpRequest.newBuilder(URI.create(arguments[0] + "/java/post/" + length));
      client.send(request.POST(BodyPublishers.ofByteArray(new byte[length])).build(), BodyHandlers.ofString());
    }
  }
}
