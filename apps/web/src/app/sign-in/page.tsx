import { SignInForm } from "../../features/session/sign-in-form.tsx";

export default function SignInPage() {
  return <SignInForm />;
}
