from csm.serving.bootstrap import end_at_signal

end_at_signal()

from services.tokenizer.main import main  # noqa: E402

main()
