// SPDX-License-Identifier: Apache-2.0
// virmo image …
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/inspect.h"
#include "services/cli/upload.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::cli {
namespace {

std::string Id(const v1::Image& image) { return LastPart(image.name()); }

std::string ImageText(const v1::Image& image, absl::Time now) {
  return PropertiesText(
      {{"Image", Id(image)},
       {"Type", image.media_type()},
       {"Size", absl::StrCat(Bytes(image.size_bytes()), " (", image.size_bytes(), " bytes)")},
       {"SHA-256", image.sha256()},
       {"Address", image.uri()},
       {"Uploaded", Relative(image.create_time(), now)}});
}

absl::Status UploadImage(Context& context, const Arguments& arguments) {
  const std::string path = arguments.Text("FILE");
  const std::string id =
      arguments.Has("--name") ? LastPart(arguments.Text("--name")) : ImageIdOf(path);
  if (id.empty()) {
    return UsageError(absl::StrCat("cannot make an image's id of ", path, ": give one by --name"));
  }
  v1::Image image;
  image.set_name(FullName("images", id));
  image.set_media_type(MediaTypeOf(arguments.Text("--media-type")));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  Progress progress(context.err(), context.ProgressStyle());
  ASSIGN_OR_RETURN(const v1::Image uploaded,
                   Upload(server, path, image, context.WaitDeadline(), progress));
  progress.Clear();
  context.Show(uploaded, Id(uploaded), ImageText(uploaded, context.now()));
  return absl::OkStatus();
}

absl::Status ListImages(Context& context, const Arguments& /*arguments*/) {
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(
      const std::vector<v1::Image> images,
      server.List(
          &v1::ImageService::Stub::ListImages, v1::ListImagesRequest(),
          [](v1::ListImagesResponse& page) { return page.mutable_images(); }, "list images"));
  const absl::Time now = context.now();
  context.ShowList<v1::Image>(
      images, {"IMAGE", "TYPE", "SIZE", "UPLOADED", "SHA-256"},
      [now](const v1::Image& image) -> std::vector<std::string> {
        return {Id(image), image.media_type(), Bytes(image.size_bytes()),
                Relative(image.create_time(), now), image.sha256().substr(0, 12)};
      },
      Id);
  return absl::OkStatus();
}

absl::Status ShowImage(Context& context, const Arguments& arguments) {
  v1::GetImageRequest request;
  request.set_name(FullName("images", arguments.Text("IMAGE")));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Image image,
                   server.Call(&v1::ImageService::Stub::GetImage, request,
                               absl::StrCat("show image \"", LastPart(request.name()), "\"")));
  context.Show(image, Id(image), ImageText(image, context.now()));
  return absl::OkStatus();
}

absl::Status DeleteImage(Context& context, const Arguments& arguments) {
  v1::DeleteImageRequest request;
  request.set_name(FullName("images", arguments.Text("IMAGE")));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Image image,
                   server.Call(&v1::ImageService::Stub::DeleteImage, request,
                               absl::StrCat("delete image \"", LastPart(request.name()), "\"")));
  context.Show(image, Id(image), absl::StrCat("deleted ", LastPart(request.name()), "\n"));
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ImageCommands() {
  const Parameter image = {
      .name = "IMAGE", .kind = Kind::kImage, .help = "The image", .required = true};
  return {
      {"image upload",
       "Put a disk image into the library",
       {{.name = "FILE", .kind = Kind::kFile, .help = "The image file", .required = true},
        {.name = "--name",
         .help = "Its id: 1 to 63 of a-z, 0-9, . and -. Default: the file's name"},
        {.name = "--media-type",
         .help = "qcow2, raw, ova, or a MIME type. Default: told from its content"}},
       UploadImage},
      {"image list", "List images", {}, ListImages},
      {"image show", "Show an image", {image}, ShowImage},
      {"image inspect",
       "Say what an OVF package (.ovf or .ova) holds, and whether it is sound; no server is asked",
       {{.name = "FILE",
         .kind = Kind::kFile,
         .help = "The descriptor, or archive",
         .required = true},
        {.name = "--deployment-option", .help = "The option to show. Default: the package's"},
        {.name = "--locale", .help = "The language of its texts, as de-DE. Default: as written"}},
       InspectImage},
      {"image delete", "Delete an image from the library", {image}, DeleteImage},
  };
}

}  // namespace virmo::cli
